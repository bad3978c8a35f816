"""Tasks that manage a part of a file which others write to as well."""

from __future__ import annotations

from orchestrator.modes.stable.learning.files import path_of
from orchestrator.modes.stable.learning.things import Args, Task, Thing, absent, listed, thing, true


def part(kind: str, what: str, path: str, args: Args, task: Task, **more: object) -> Thing:
    """The managed part of a file, which the task's own arguments tell."""
    gone = absent(args)
    expect = {"state": ["absent"] if gone else ["as left"]}
    return thing(kind, f"{path} {what}", task, path=path, gone=gone, enforced=["state"], expect=expect, **more)


def lineinfile(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """Its line; with `backrefs` only the host knows it."""
    path = path_of(args, result, task) or _homed(args, task)
    if path is None or true(args.get("backrefs")):
        return None
    line, regexp, search = args.get("line"), args.get("regexp"), args.get("search_string")
    hashed = task.mac(str(line).rstrip("\r\n")) if line is not None else ""
    what = f"line {task.quoted}"
    more = {"line": hashed, "key": task.key, "regexp": regexp, "search": search}
    return [part("line", what, path, args, task, **more)]


def _homed(args: Args, task: Task) -> str | None:
    path = args.get("path") or args.get("dest")
    return task.home(str(path)) if path and str(path).startswith("~") else None


def blockinfile(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """Its block, between the markers."""
    path = path_of(args, result, task) or _homed(args, task)
    if path is None:
        return None
    marker = str(args.get("marker") or "# {mark} ANSIBLE MANAGED BLOCK")
    marks = (str(args.get("marker_begin") or "BEGIN"), str(args.get("marker_end") or "END"))
    block = str(args.get("block") or args.get("content") or "")
    more = {
        "markers": [marker.replace("{mark}", mark) for mark in marks],
        "block": task.mac("\n".join(block.splitlines())),
        "key": task.key,
    }
    return [
        part("block", f"block {task.quoted}", path, {**args, **({} if block else {"state": "absent"})}, task, **more)
    ]


def replace(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """That nothing is left that it would replace."""
    path = path_of(args, result, task) or _homed(args, task)
    if path is None or args.get("encoding") not in (None, "utf-8"):
        return None
    one = thing(
        *("replacement", f"{path} replacement {task.quoted}", task),
        path=path,
        regexp=str(args.get("regexp")),
        replacement=str(args.get("replace") or ""),
        after=args.get("after"),
        before=args.get("before"),
        enforced=["state"],
        expect={"state": ["done"]},
    )
    return [one]


def ini_file(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """An option of a section."""
    path = path_of(args, result, task) or _homed(args, task)
    if path is None or args.get("section_has_values"):
        return None
    values = listed(args["values"]) if isinstance(args.get("values"), list) else []
    if args.get("value") is not None:
        values = [str(args["value"])]
    section, option = args.get("section"), args.get("option")
    one = part(
        *("option", f"[{section or ''}] {option or ''}".rstrip(), path, args, task),
        section=section,
        option=option,
        wanted=[task.mac(value.strip()) for value in values],
        exclusive=args.get("exclusive") is None or true(args["exclusive"]),
        key=task.key,
    )
    if not option and not one["gone"]:
        one["expect"] = {"state": ["there"]}
    return [one]


def apt_repository(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """Its line in any of APT's lists; of a PPA the line is not known."""
    line = str(args.get("repo") or "")
    if not line.startswith("deb"):
        return None
    expect = {"state": ["absent"] if absent(args) else ["there"]}
    label = f"apt source {line}"
    return [thing("repository", label, task, line=line, enforced=["state"], expect=expect)]


def cron(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """An entry or a variable of a crontab."""
    name, file = args.get("name"), args.get("cron_file")
    if not name:
        return None
    path = str(file) if file and str(file).startswith("/") else f"/etc/cron.d/{file}" if file else ""
    user = str(args.get("user") or task.user or "")
    one = thing(
        *("cron", f"cron {name}" + (f" of {user}" if user and not path else ""), task),
        entry=str(name),
        file=path,
        user=user,
        env=true(args.get("env")),
        enforced=["state", "entry"],
        expect={"state": ["absent"] if absent(args) else ["there"]},
    )
    return [one]


def authorized_key(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """Public keys that may log in; one that is read from a URL is not known here."""
    lines = [line.split() for line in str(args.get("key") or "").splitlines() if line.strip() and line[0] != "#"]
    kinds = ("ssh-", "ecdsa-", "sk-")
    found = []
    for words in lines:
        at = next((i for i, word in enumerate(words) if word.startswith(kinds)), None)
        if at is None or at + 1 >= len(words):
            return None
        found.append((words[at + 1], words[at + 2] if len(words) > at + 2 else words[at + 1][-12:]))
    user = str(args.get("user"))
    path = str(args["path"]) if args.get("path") else ""
    expect = {"state": ["absent"] if absent(args) else ["there"]}
    return [
        thing(
            *("key", f"authorized key {comment} of {user}", task),
            user=user,
            path=path,
            blob=blob,
            together=[each for each, _ in found],
            exclusive=true(args.get("exclusive")),
            enforced=["state", *(["others"] if true(args.get("exclusive")) else [])],
            expect=expect,
        )
        for blob, comment in found
    ] or None
