"""Tasks that manage what the system has: packages, services, users, groups, kernel settings, mounts, checkouts."""

from __future__ import annotations

import re
from typing import Any

from orchestrator.modes.stable.learning.things import Args, Task, Thing, absent, listed, thing, true

ENABLED = ["enabled", "enabled-runtime", "static", "alias", "indirect", "generated"]


def packages(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """Packages by their names; their versions only where a task pins them."""
    names = next((listed(args[key]) for key in ("name", "pkg", "package") if args.get(key)), [])
    if not names:
        only_cache = not any(args.get(key) for key in ("deb", "upgrade", "list", "download_only"))
        return [] if only_cache else None
    if any(re.search(r"[*?@^/]|://", name) for name in names):
        return None
    return [_package("package", f"package {name}", name, args, task) for name in names]


def _package(kind: str, label: str, name: str, args: Args, task: Task, **more: Any) -> Thing:
    plain = re.split(r"[=<>!~ ]", name, maxsplit=1)[0]
    expect = {"state": ["absent"] if absent(args) else ["installed"]}
    pinned = plain != name
    enforced = ["state", "version"] if pinned else ["state"]
    label = label.replace(name, plain)
    return thing(kind, label, task, package=plain, pinned=pinned, enforced=enforced, expect=expect, **more)


def pip(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """Python distributions; what a requirements file or a URL brings is not known here."""
    names = listed(args.get("name"))
    if not names or args.get("requirements") or any(re.search(r"://|^[./]", name) for name in names):
        return None
    environment = str(args.get("virtualenv") or "")
    executable = str(args.get("executable") or "")
    python = re.sub(r"pip([\d.]*)$", r"python\1", executable) if executable else "python3"
    where = f" in {environment}" if environment else ""
    found = []
    for name in names:
        bare = re.sub(r"\[.*?\]", "", name)
        pinned = bare if args.get("version") is None else f"{bare}=={args['version']}"
        label = f"python package {pinned}{where}"
        found.append(_package("python package", label, pinned, args, task, virtualenv=environment, python=python))
    return found


def service(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """What was asked for: active, enabled; its unit file and drop-ins in any case."""
    name = args.get("name")
    if not name:
        return []  # only daemon_reload
    if str(args.get("scope") or "system") != "system":
        return None
    expect: dict[str, list[str]] = {"daemon-reload": ["done"]}
    if args.get("state"):
        expect["active"] = ["inactive", "failed"] if args["state"] == "stopped" else ["active"]
    if args.get("enabled") is not None:
        expect["enabled"] = ENABLED if true(args["enabled"]) else ["disabled", "static", "masked", "indirect"]
    if true(args.get("masked")):
        expect = {"state": ["masked"]}
    asked = sorted({"active", "enabled"} & set(expect))
    label = f"service {name}"
    return [thing("service", label, task, service=str(name), asked=asked, enforced=[*asked, "state"], expect=expect)]


def user(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """What was asked for of a user; of a password only that there is one and when it was set."""
    name = str(args.get("name") or args.get("user"))
    if absent(args):
        gone = {"state": ["absent"]}
        return [thing("user", f"user {name}", task, user=name, asked=[], append=False, groups=[], expect=gone)]
    asked = [
        aspect for aspect in ("uid", "group", "groups", "shell", "home", "comment") if args.get(aspect) is not None
    ]
    if args.get("password") is not None:
        asked.append("password")
    enforced = [aspect for aspect in asked if aspect != "password" or args.get("update_password") != "on_create"]
    expect = {aspect: [str(args[aspect])] for aspect in ("uid", "shell") if aspect in asked}
    one = thing(
        *("user", f"user {name}", task),
        user=name,
        asked=asked,
        append=true(args.get("append")),
        groups=listed(args.get("groups")),
        enforced=["state", *enforced],
        expect={"state": ["there"], **expect},
    )
    return [one]


def group(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """A group, and its number where it was asked for."""
    name = str(args.get("name"))
    asked = ["gid"] if args.get("gid") is not None and not absent(args) else []
    expect = {"state": ["absent"] if absent(args) else ["there"]}
    return [thing("group", f"group {name}", task, group=name, asked=asked, enforced=["state", *asked], expect=expect)]


def sysctl(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """A kernel setting in its file; and as it is now, unless the task leaves that alone."""
    name, gone = str(args.get("name")), absent(args)
    live = not gone and (true(args.get("sysctl_set")) or args.get("reload") is None or true(args["reload"]))
    value = " ".join(str(args.get("value")).split())
    one = thing(
        *("sysctl", f"sysctl {name}", task),
        setting=name,
        file=str(args.get("sysctl_file") or "/etc/sysctl.conf"),
        set=live,
        enforced=["kept", "value"],
        expect={"kept": ["absent"]} if gone else {"kept": [value], **({"value": [value]} if live else {})},
    )
    return [one]


def mount(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """What is mounted, and what fstab says."""
    path, state = str(args.get("path") or args.get("name")).rstrip("/") or "/", str(args.get("state"))
    by_state = {
        "mounted": ["mounted", "fstab"],
        "present": ["fstab"],
        "ephemeral": ["mounted"],
        "unmounted": ["mounted"],
        "absent": ["mounted", "fstab"],
        "absent_from_fstab": ["fstab"],
    }
    if state not in by_state:
        return None
    asked = by_state[state]
    expect = {}
    if state in ("unmounted", "absent"):
        expect = {"mounted": ["no"], **({"fstab": ["absent"]} if state == "absent" else {})}
    fstab = str(args.get("fstab") or "/etc/fstab")
    return [thing("mount", f"mount {path}", task, path=path, fstab=fstab, asked=asked, enforced=asked, expect=expect)]


def hostname(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """The host's name."""
    return [thing("hostname", "hostname", task, enforced=["state", "kept"], expect={"state": [str(args.get("name"))]})]


def timezone(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """The time zone; the hardware clock's is not known here."""
    if not args.get("name"):
        return None
    return [thing("timezone", "timezone", task, enforced=["state"], expect={"state": [str(args["name"])]})]


def locale(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """A locale that was generated."""
    expect = {"state": ["absent"] if absent(args) else ["there"]}
    names = listed(args.get("name"))
    return [thing("locale", f"locale {n}", task, locale=n, enforced=["state"], expect=expect) for n in names]


def modprobe(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """A kernel module."""
    name = str(args.get("name"))
    expect = {"state": ["absent"] if absent(args) else ["loaded"]}
    return [thing("kernel module", f"kernel module {name}", task, module=name, enforced=["state"], expect=expect)]


def debconf(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """The answer to a package's question; passwords are not read."""
    question = args.get("question") or args.get("setting") or args.get("selection")
    if not question or str(args.get("vtype")) == "password":
        return None
    return [thing("debconf", f"debconf {question}", task, question=str(question), enforced=["state"])]


def git(args: Args, result: Args, task: Task) -> list[Thing] | None:
    """A checkout's commit, and that its tracked files are as committed."""
    path = str(args.get("dest") or "")
    if not path.startswith("/") or true(args.get("bare")) or args.get("archive"):
        return None
    expect = {"state": ["there"]}
    if re.fullmatch(r"[0-9a-f]{40}", str(result.get("after") or "")):
        expect["commit"] = [str(result["after"])]
    return [thing("git", f"git {path}", task, path=path, enforced=["state", "commit"], expect=expect)]


def container(engine: str, args: Args, task: Task) -> list[Thing] | None:
    """A container, as the engine's `inspect` tells it to us; not what is another engine's, or another user's."""
    name, state = str(args.get("name")), str(args.get("state") or "started")
    elsewhere = args.get("docker_host") if engine == "docker" else task.user not in ("", "root")
    if elsewhere or state == "quadlet":
        return None
    exists = ["there", "running", "stopped", "paused"]
    states = {"absent": ["absent"], "stopped": ["stopped"], "present": exists, "created": exists}
    wanted = states.get(state, ["running"])
    one = thing(
        *("container", f"container {name}", task),
        container=name,
        engine=str(args.get("executable") or engine),
        asked=["running"] if wanted in (["running"], ["stopped"]) else [],
        enforced=["state", "image", "restart policy", "declaration"],
        expect={"state": wanted},
    )
    return [one]
