"""The part of the probe that reads files: whole ones, what lies around them, and the managed part of shared ones.

Each reader takes a thing and gives its aspects as they are now: {aspect: text}. Texts that may be secret are kept as an
HMAC under the thing's own `key`, which whoever learnt the thing has made, or under the slot's.
"""
# pathlib is not used here: it doubles the start of Python on a small host.
# ruff: noqa: PTH111, PTH113, PTH115, PTH116, PTH118, PTH202, PTH207

import contextlib
import errno
import glob
import grp
import hashlib
import hmac
import os
import pwd
import re
import stat
from typing import Any

LARGEST = 64 * 1024 * 1024  # bytes whose content is read; of larger files the size is compared


def mac_of(key: str, data: bytes) -> str:
    """A keyed hash: a plain one of a short secret could be guessed."""
    return hmac.new(key.encode(), data, hashlib.sha256).hexdigest()


def name_of(number: int, look_up: Any) -> str:
    """A user's or a group's name, or its number where it has none."""
    try:
        return str(look_up(number)[0])
    except KeyError:
        return str(number)


def bytes_of(path: str) -> bytes:
    """A file's content; nothing where it cannot be read or is too large."""
    path = os.path.expanduser(path)
    with contextlib.suppress(OSError):
        if os.path.isfile(path) and os.path.getsize(path) <= LARGEST:
            with open(path, "rb") as file:
                return file.read()
    return b""


def lines_of(path: str) -> "list[bytes]":
    """A file's lines without their ends."""
    return bytes_of(path).splitlines()


def content_of(path: str, size: int, key: str) -> "dict[str, str]":
    """The aspect that stands for a regular file's content."""
    if size > LARGEST:
        return {"size": str(size)}
    mac = hmac.new(key.encode(), digestmod=hashlib.sha256)
    try:
        with open(path, "rb") as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                mac.update(chunk)
    except OSError as error:
        return {"content": f"unreadable ({error.strerror})"}
    return {"content": mac.hexdigest()}


def read_file(thing: "dict[str, Any]", key: str) -> "dict[str, str]":
    """A path's type, mode, owner, group, and target or content, as far as its scope asks for them."""
    path, scope = thing["path"], thing["scope"]
    try:
        info = os.lstat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return {"type": "absent"}
        return {"type": f"unreadable ({error.strerror})"}
    kinds = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "directory"), (stat.S_ISLNK, "link"))
    kind = next((name for test, name in kinds if test(info.st_mode)), "special")
    if scope == "exists":
        return {"type": "there"}
    found = {"type": kind, "owner": name_of(info.st_uid, pwd.getpwuid), "group": name_of(info.st_gid, grp.getgrgid)}
    if kind == "link":
        found["target"] = os.readlink(path)
    else:
        found["mode"] = f"{stat.S_IMODE(info.st_mode):04o}"
    if scope == "whole" and os.path.isfile(path):
        found.update(content_of(path, os.stat(path).st_size, key))
    return found


def changed_at(path: str) -> float:
    """When a path was last changed in any way, in seconds since the epoch; 0 where it is not there."""
    try:
        return os.lstat(path).st_ctime
    except OSError:
        return 0.0


def read_line(thing: "dict[str, Any]", key: str) -> "dict[str, str]":
    """lineinfile: whether its line is there, and is the last one that its pattern finds; or that none is."""
    lines = lines_of(thing["path"])
    hits = [line for line in lines if _matches(thing, line)]
    if thing["gone"]:
        hits += [line for line in lines if thing["line"] and mac_of(thing["key"], line) == thing["line"]]
        return {"state": "there" if hits else "absent"}
    if hits:
        return {"state": "as left" if mac_of(thing["key"], hits[-1]) == thing["line"] else "another line"}
    return {"state": "as left" if any(mac_of(thing["key"], one) == thing["line"] for one in lines) else "absent"}


def _matches(thing: "dict[str, Any]", line: bytes) -> bool:
    if thing.get("regexp"):
        return re.search(thing["regexp"].encode(), line) is not None
    return bool(thing.get("search")) and thing["search"].encode() in line


def read_block(thing: "dict[str, Any]", key: str) -> "dict[str, str]":
    """blockinfile: what stands between its two markers."""
    lines = lines_of(thing["path"])
    begin, end = (mark.encode() for mark in thing["markers"])
    if begin not in lines or end not in lines:
        return {"state": "absent"}
    first = lines.index(begin)
    last = next((i for i, line in enumerate(lines) if line == end and i > first), first)
    content = b"\n".join(lines[first + 1 : last])
    if thing["gone"]:
        return {"state": "there"}
    return {"state": "as left" if mac_of(thing["key"], content) == thing["block"] else "another content"}


def read_replacement(thing: "dict[str, Any]", key: str) -> "dict[str, str]":
    """The `replace` module: whether nothing is left that it would replace."""
    text = bytes_of(thing["path"]).decode("utf-8", "surrogateescape")
    part = text
    if thing.get("after") or thing.get("before"):
        around = "{}(?P<part>.*?){}".format(thing.get("after") or "", thing.get("before") or r"\Z")
        found = re.search(around, text, re.DOTALL)
        part = found.group("part") if found else ""
    done = re.sub(thing["regexp"], thing["replacement"], part, flags=re.MULTILINE) == part
    return {"state": "done" if done else "to be done again"}


def read_option(thing: "dict[str, Any]", key: str) -> "dict[str, str]":
    """An option of a section of an INI file: its values, keyed."""
    section, found, there = "", [], False
    for line in bytes_of(thing["path"]).decode("utf-8", "replace").splitlines():
        text = line.strip()
        if text.startswith("[") and text.endswith("]"):
            section = text[1:-1].strip()
        if section != (thing["section"] or ""):
            continue
        there = True
        name, sign, value = text.partition("=")
        if thing["option"] and name.strip() == thing["option"] and not text.startswith(("#", ";")):
            found.append(value.strip() if sign else "")
    if not thing["option"]:
        return {"state": "there" if there else "absent"}
    if thing["gone"]:
        return {"state": "there" if found else "absent"}
    if not found:
        return {"state": "absent"}
    wanted = set(thing["wanted"])
    have = {mac_of(thing["key"], value.encode()) for value in found}
    return {"state": "as left" if (have == wanted if thing["exclusive"] else wanted <= have) else "another value"}


def read_repository(thing: "dict[str, Any]", key: str) -> "dict[str, str]":
    """An APT source line, in whichever list it stands."""
    wanted = " ".join(thing["line"].split())
    paths = ["/etc/apt/sources.list", *glob.glob("/etc/apt/sources.list.d/*.list")]
    there = any(
        " ".join(line.decode("utf-8", "replace").split()) == wanted for path in paths for line in lines_of(path)
    )
    return {"state": "there" if there else "absent"}


def read_cron(thing: "dict[str, Any]", key: str) -> "dict[str, str]":
    """A cron entry or a variable of a crontab, found by the name that Ansible gave it."""
    path = thing["file"] or _crontab_of(thing["user"] or "root")
    lines = [line.decode("utf-8", "replace") for line in lines_of(path)]
    if thing["env"]:
        entry = next((line for line in lines if line.partition("=")[0].strip() == thing["entry"]), None)
    else:
        mark = f"#Ansible: {thing['entry']}"
        entry = next((lines[i + 1] for i, line in enumerate(lines[:-1]) if line == mark), None)
    if entry is None:
        return {"state": "absent"}
    return {"state": "there", "entry": mac_of(key, entry.encode())}


def _crontab_of(user: str) -> str:
    paths = [f"{base}/{user}" for base in ("/var/spool/cron/crontabs", "/var/spool/cron/tabs", "/var/spool/cron")]
    return next((path for path in paths if os.path.isfile(path)), paths[0])


def read_authorized_key(thing: "dict[str, Any]", key: str) -> "dict[str, str]":
    """Whether a public key may log in as a user, with which options; with `exclusive`, which others may."""
    path = thing["path"]
    if not path:
        try:
            path = os.path.join(pwd.getpwnam(thing["user"]).pw_dir, ".ssh/authorized_keys")
        except KeyError:
            return {"state": "absent"}
    elif path.startswith("~"):
        path = os.path.expanduser(path)
    others, found = [], {"state": "absent"}
    for line in lines_of(path):
        words = line.decode("utf-8", "replace").split()
        at = next((i for i, word in enumerate(words) if word.startswith(("ssh-", "ecdsa-", "sk-"))), None)
        if at is None or at + 1 >= len(words) or words[0].startswith("#"):
            continue
        if words[at + 1] == thing["blob"]:
            found = {"state": "there", "options": " ".join(words[:at])}
        elif words[at + 1] not in thing["together"]:
            others.append(words[at + 1])
    if thing["exclusive"]:
        found["others"] = str(len(others))
    return found
