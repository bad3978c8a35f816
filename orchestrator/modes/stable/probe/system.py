"""The part of the probe that asks the system: packages, services, users, groups, sysctl, mounts, checkouts, containers.

`Host` keeps what one question to a program has told for all things of a look: one `dpkg-query`, one `systemctl show`.
"""
# ruff: noqa: PTH110, PTH112, PTH118, PTH119, PTH120, PTH208

import grp
import json
import os
import pwd
import re
import time
from typing import Any

from orchestrator.modes.stable.probe.files import bytes_of, lines_of, mac_of

ASK_S = 20.0
SETTLING = ("activating", "deactivating", "reloading")
UNIT_SUFFIXES = (
    ".service",
    ".socket",
    ".timer",
    ".mount",
    ".path",
    ".target",
    ".slice",
    ".device",
    ".automount",
    ".swap",
)
SHOWN = (
    "Id,LoadState,ActiveState,UnitFileState,FragmentPath,DropInPaths,NeedDaemonReload,InvocationID,NRestarts,"
    "StateChangeTimestamp,ActiveEnterTimestamp"
)
BOOTTIME = 7  # Linux's clock that /proc counts by; Python 3.6 has no name for it
# What people put beside a unit, the first of a name counts; packages own what is in /usr/lib.
BESIDE = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system")
OURS = ("/etc/", "/run/systemd/system", "/usr/local/")
STOPPED = ("created", "configured", "initialized", "exited", "stopped", "dead")


def told(command: "list[str]") -> "tuple[int, str]":
    """A program's exit code and output; 127 where it is not there or does not end."""
    import subprocess  # not at the top: a look at files alone does without

    environment = dict(os.environ, LC_ALL="C", PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=ASK_S,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 127, ""
    return done.returncode, done.stdout.decode("utf-8", "replace")


class Host:
    """What has been asked for all of these things at once."""

    def __init__(self, things: "list[dict[str, Any]]") -> None:
        self.units = sorted({unit_of(thing["service"]) for thing in things if thing["kind"] == "service"})
        self.shown = units_shown(self.units)
        names = sorted({thing["package"] for thing in things if thing["kind"] == "package"})
        self.packages = packages_of(names) if names else {}

    def settled(self, unit: str) -> "dict[str, str]":
        """A unit's properties, asked again once where it is on its way."""
        if self.shown.get(unit, {}).get("ActiveState") in SETTLING:
            time.sleep(1.0)
            self.shown.update(units_shown([unit]))
        return self.shown.get(unit, {})


def unit_of(service: str) -> str:
    """A unit's full name."""
    return service if service.endswith(UNIT_SUFFIXES) else service + ".service"


def units_shown(units: "list[str]") -> "dict[str, dict[str, str]]":
    """What systemd tells of units, by the names that were asked for."""
    if not units:
        return {}
    _, text = told(["systemctl", "show", "-p", SHOWN, "--", *units])
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")]
    return dict(zip(units, [block for block in blocks if block]))  # noqa: B905 - Python 3.6 has no strict


def read_service(thing: "dict[str, Any]", key: str, host: Host) -> "dict[str, str]":
    """What was asked for of a unit (active, enabled), which files make it, and whether systemd has read them so."""
    shown = host.settled(unit_of(thing["service"]))
    if not shown or shown.get("LoadState") == "not-found":
        return {"state": "absent" if shown else "unknown"}
    found = {"state": "masked" if shown.get("LoadState") == "masked" else "there"}
    for aspect, name in (("active", "ActiveState"), ("enabled", "UnitFileState")):
        if aspect in thing["asked"]:
            found[aspect] = shown.get(name, "")
    loaded = [path for path in shown.get("DropInPaths", "").split() if path.startswith(OURS)]
    drop_ins = drop_ins_of(unit_of(thing["service"]), loaded)
    fragment = shown.get("FragmentPath", "")
    found["drop-ins"] = " ".join(drop_ins)
    # systemd itself does not say so of a drop-in in a folder that is new.
    found["daemon-reload"] = "needed" if shown.get("NeedDaemonReload") == "yes" or drop_ins != loaded else "done"
    texts = [bytes_of(path) for path in [fragment, *drop_ins] if path.startswith(OURS)]
    found["unit"] = fragment + " " + mac_of(key, b"\0".join(texts))[:16] if texts else fragment
    return found


def drop_ins_of(unit: str, loaded: "list[str]") -> "list[str]":
    """A unit's drop-ins as they are on disk, in systemd's order; `loaded` are those that it knows of."""
    folders = [os.path.join(base, unit + ".d") for base in BESIDE]
    found = {os.path.basename(path): path for path in loaded if os.path.dirname(path) not in folders}
    for folder in folders:
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if name.endswith(".conf"):
                found.setdefault(name, os.path.join(folder, name))
    return [found[name] for name in sorted(found) if os.path.realpath(found[name]) != "/dev/null"]


def started(thing: "dict[str, Any]", host: Host) -> "dict[str, str]":
    """Which start of a service this is: its id, when it was, and how often systemd itself has started it again."""
    shown = host.shown.get(unit_of(thing["service"]), {}) if thing["kind"] == "service" else {}
    if shown.get("ActiveState") != "active" or not shown.get("InvocationID"):
        return {}
    return {
        "id": shown["InvocationID"],
        "at": shown.get("ActiveEnterTimestamp", ""),
        "itself": shown.get("NRestarts", ""),
    }


def booted() -> float:
    """When this machine's first process was started, in seconds since the epoch; 0 where that cannot be told."""
    try:
        with open("/proc/1/stat", encoding="utf-8") as stat:
            ticks = int(stat.read().rpartition(")")[2].split()[19])
        return time.time() - time.clock_gettime(BOOTTIME) + ticks / float(os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return 0.0


def packages_of(names: "list[str]") -> "dict[str, str]":
    """The installed ones among packages -> their versions, by the package manager that this host has."""
    base = [name.split(":")[0] for name in names]
    code, text = told(["dpkg-query", "-W", "-f", "${Package}\t${Version}\t${db:Status-Status}\n", "--", *base])
    if code != 127:
        rows = [line.split("\t") for line in text.splitlines()]
        return {row[0]: row[1] for row in rows if len(row) == 3 and row[2] == "installed"}
    code, text = told(["rpm", "-q", "--qf", "%{NAME}\t%{VERSION}-%{RELEASE}\n", "--", *names])
    if code == 127:
        _, text = told(["apk", "info", "-v"])
        found = [re.match(r"(.+)-([^-]+-r\d+)$", line) for line in text.splitlines()]
        return {one.group(1): one.group(2) for one in found if one}
    rows = [line.split("\t") for line in text.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 2}


def read_package(thing: "dict[str, Any]", key: str, host: Host) -> "dict[str, str]":
    """Whether a package is installed; its version where a task pins it."""
    version = host.packages.get(thing["package"].split(":")[0])
    if version is None:
        return {"state": "absent"}
    return {"state": "installed", "version": version} if thing["pinned"] else {"state": "installed"}


LIST_PYTHON = (
    "import importlib.metadata as m, json; print(json.dumps({d.metadata['Name'].lower(): d.version "
    "for d in m.distributions() if d.metadata['Name']}))"
)


def read_python_package(thing: "dict[str, Any]", key: str, host: Host) -> "dict[str, str]":
    """Whether a Python distribution is installed where pip was told to install it."""
    python = os.path.join(thing["virtualenv"], "bin/python") if thing["virtualenv"] else thing["python"]
    known = host.packages.get("pip:" + python)
    if known is None:
        known = host.packages["pip:" + python] = told([python, "-c", LIST_PYTHON])[1] or "{}"
    wanted = re.sub(r"[-_.]+", "-", thing["package"].lower())
    found = {re.sub(r"[-_.]+", "-", name): version for name, version in json.loads(known).items()}
    if wanted not in found:
        return {"state": "absent"}
    return {"state": "installed", "version": found[wanted]} if thing["pinned"] else {"state": "installed"}


def read_user(thing: "dict[str, Any]", key: str, host: Host) -> "dict[str, str]":
    """What was asked for of a user. Of a password: whether there is one, and the day on which it was changed."""
    try:
        entry = pwd.getpwnam(thing["user"])
    except KeyError:
        return {"state": "absent"}
    group = read_name(entry.pw_gid)
    member = sorted(one.gr_name for one in grp.getgrall() if entry.pw_name in one.gr_mem)
    if thing["append"]:
        member = [name for name in member if name in thing["groups"]]
    every = {
        "uid": str(entry.pw_uid),
        "group": group,
        "groups": ",".join(member),
        "shell": entry.pw_shell,
        "home": entry.pw_dir,
        "comment": entry.pw_gecos,
    }
    found = {"state": "there"}
    found.update({aspect: every[aspect] for aspect in thing["asked"] if aspect in every})
    if "password" in thing["asked"]:
        found["password"] = password_state(entry.pw_name)
    return found


def read_name(gid: int) -> str:
    """A group's name, or its number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def password_state(user: str) -> str:
    """`none`, `locked` or `set`, and the day of the last change; never anything of the password itself."""
    for line in lines_of("/etc/shadow"):
        fields = line.decode("utf-8", "replace").split(":")
        if fields[0] == user and len(fields) > 2:
            kind = "none" if not fields[1] else "locked" if fields[1][0] in "!*" else "set"
            return f"{kind}, day {fields[2]}"
    return "unknown"


def read_group(thing: "dict[str, Any]", key: str, host: Host) -> "dict[str, str]":
    """Whether a group is there, and its number where it was asked for."""
    try:
        entry = grp.getgrnam(thing["group"])
    except KeyError:
        return {"state": "absent"}
    return {"state": "there", "gid": str(entry.gr_gid)} if "gid" in thing["asked"] else {"state": "there"}


def read_sysctl(thing: "dict[str, Any]", key: str, host: Host) -> "dict[str, str]":
    """A kernel setting as it is now, and as its file sets it."""
    setting = thing["setting"]
    path = "/proc/sys/" + (setting if "/" in setting else setting.replace(".", "/"))
    now = " ".join(read_text(path).split()) if os.path.exists(path) else "absent"
    kept = "absent"
    for line in lines_of(thing["file"]):
        name, sign, value = line.decode("utf-8", "replace").partition("=")
        if sign and name.strip() == thing["setting"]:
            kept = " ".join(value.split())
    return {"kept": kept, "value": now} if thing["set"] else {"kept": kept}


def read_mount(thing: "dict[str, Any]", key: str, host: Host) -> "dict[str, str]":
    """What is mounted at a path, and what fstab says of it."""
    found = {"mounted": "no", "fstab": "absent"}
    for line in read_text("/proc/self/mounts").splitlines():
        fields = line.split()
        if len(fields) > 2 and unescaped(fields[1]) == thing["path"]:
            found["mounted"] = fields[2]
    for raw in lines_of(thing["fstab"]):
        fields = raw.decode("utf-8", "replace").split()
        if len(fields) > 3 and not fields[0].startswith("#") and unescaped(fields[1]) == thing["path"]:
            found["fstab"] = " ".join(fields[:1] + fields[2:4])
    return {aspect: found[aspect] for aspect in thing["asked"]}


def unescaped(text: str) -> str:
    """A path as the kernel and fstab write it."""
    return re.sub(r"\\(\d{3})", lambda found: chr(int(found.group(1), 8)), text)


def read_text(path: str) -> str:
    """A small file of the kernel's, whose size is told as 0."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def read_hostname(thing: "dict[str, Any]", key: str, host: Host) -> "dict[str, str]":
    """The host's name, now and after a reboot."""
    return {"state": os.uname().nodename, "kept": bytes_of("/etc/hostname").decode("utf-8", "replace").strip()}


def read_timezone(thing: "dict[str, Any]", key: str, host: Host) -> "dict[str, str]":
    """The time zone by the link that C libraries follow."""
    return {"state": os.path.realpath("/etc/localtime").partition("zoneinfo/")[2] or "unknown"}


def read_locale(thing: "dict[str, Any]", key: str, host: Host) -> "dict[str, str]":
    """Whether a locale was generated."""
    known = {re.sub("[^a-z0-9]", "", name.lower()) for name in told(["locale", "-a"])[1].split()}
    return {"state": "there" if re.sub("[^a-z0-9]", "", thing["locale"].lower()) in known else "absent"}


def read_module(thing: "dict[str, Any]", key: str, host: Host) -> "dict[str, str]":
    """Whether a kernel module is loaded or built in."""
    there = os.path.isdir("/sys/module/" + thing["module"].replace("-", "_"))
    return {"state": "loaded" if there else "absent"}


def read_debconf(thing: "dict[str, Any]", key: str, host: Host) -> "dict[str, str]":
    """The answer to a package's question; those to questions for passwords are kept elsewhere and not read."""
    text = bytes_of("/var/cache/debconf/config.dat").decode("utf-8", "replace")
    found = re.search(r"^Name: {}\n(?:.+\n)*?Value: (.*)$".format(re.escape(thing["question"])), text, re.MULTILINE)
    return {"state": mac_of(key, found.group(1).encode())[:16] if found else "absent"}


def read_git(thing: "dict[str, Any]", key: str, host: Host) -> "dict[str, str]":
    """A checkout's commit, and which of its tracked files were changed."""
    git = ["git", "--no-optional-locks", "-c", "safe.directory=*", "-C", thing["path"]]
    code, head = told([*git, "rev-parse", "HEAD"])
    if code != 0:
        return {"state": "absent" if code != 127 else "unknown"}
    _, changed = told([*git, "status", "--porcelain", "-uno"])
    found = {"state": "there", "commit": head.strip()}
    found["changed"] = ",".join(line[3:] for line in changed.splitlines()[:5])
    return found


def read_container(thing: "dict[str, Any]", key: str, host: Host) -> "dict[str, str]":
    """A container's image, whether it runs if that was asked for, and what was declared of it.

    An engine that does not answer has not lost its containers.
    """
    code, text = told([thing["engine"], "inspect", "--type", "container", thing["container"]])
    if code == 0:
        found = container_state(text, key)
        return found if thing["asked"] or found["state"] == "unknown" else dict(found, state="there")
    answers = code != 127 and told([thing["engine"], "ps", "--quiet"])[0] == 0
    return {"state": "absent" if answers else "unknown"}


def container_state(text: str, key: str) -> "dict[str, str]":
    """What `docker inspect` and `podman inspect` tell of one container; its environment as a keyed hash.

    One that does not run is `stopped`, whether it ever ran or not: engines have up to six words for it.
    """
    try:
        one = json.loads(text)[0]
    except (ValueError, IndexError):
        return {"state": "unknown"}
    config, settings = one.get("Config") or {}, one.get("HostConfig") or {}
    status, policy = str((one.get("State") or {}).get("Status", "unknown")), settings.get("RestartPolicy") or {}
    retries = policy.get("MaximumRetryCount")
    own = "HOSTNAME={}".format(config.get("Hostname"))  # podman writes it down, another one for each container
    # Nothing is told as null, an empty list or an empty map, as whoever made it has put it.
    declared = [
        sorted(each for each in config.get("Env") or [] if each != own),
        *(config.get(name) or None for name in ("Cmd", "Entrypoint", "User")),
        *(settings.get(name) or None for name in ("Binds", "PortBindings", "NetworkMode", "Privileged")),
    ]
    return {
        "state": "stopped" if status in STOPPED else status,
        "image": str(config.get("Image", "")),
        "restart policy": str(policy.get("Name") or "no") + (f":{retries}" if retries else ""),
        "declaration": mac_of(key, json.dumps(declared, sort_keys=True).encode())[:16],
    }
