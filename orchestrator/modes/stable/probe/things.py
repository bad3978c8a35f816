"""The part of the probe that takes things down as they are, and tells later what is not as it was left.

A thing is what tasks manage: {"kind", "label", "enforced", "expect", "tasks", "values", …}, with more by its kind.

    kind      names its reader
    label     what a person calls it; no two things of a slot share one
    enforced  the aspects that a task sets each time
    expect    the aspects whose value the task's arguments tell: aspect -> the values that fit
    tasks     the names of the tasks behind it
    values    its aspects as they were when it was stamped; of contents an HMAC, whose key lies beside it
    started   of a service: which start of it that was
"""

import contextlib
import time
from typing import Any

from orchestrator.modes.stable.probe.files import (
    changed_at,
    read_authorized_key,
    read_block,
    read_cron,
    read_file,
    read_line,
    read_option,
    read_replacement,
    read_repository,
)
from orchestrator.modes.stable.probe.system import (
    SETTLING,
    Host,
    booted,
    read_container,
    read_debconf,
    read_git,
    read_group,
    read_hostname,
    read_locale,
    read_module,
    read_mount,
    read_package,
    read_python_package,
    read_service,
    read_sysctl,
    read_timezone,
    read_user,
    started,
    unit_of,
)

FILE_READERS = {
    "file": read_file,
    "line": read_line,
    "block": read_block,
    "replacement": read_replacement,
    "option": read_option,
    "repository": read_repository,
    "cron": read_cron,
    "key": read_authorized_key,
}
SYSTEM_READERS = {
    "service": read_service,
    "package": read_package,
    "python package": read_python_package,
    "user": read_user,
    "group": read_group,
    "sysctl": read_sysctl,
    "mount": read_mount,
    "hostname": read_hostname,
    "timezone": read_timezone,
    "locale": read_locale,
    "kernel module": read_module,
    "debconf": read_debconf,
    "git": read_git,
    "container": read_container,
}


def values_of(thing: "dict[str, Any]", key: str, host: Host) -> "dict[str, str]":
    """A thing's aspects as they are now. What cannot be read says so: one bad thing must not hide the others."""
    try:
        if thing["kind"] in FILE_READERS:
            return FILE_READERS[thing["kind"]](thing, key)
        return SYSTEM_READERS[thing["kind"]](thing, key, host)
    except Exception as error:  # noqa: BLE001
        return {main_of(thing): f"unreadable ({type(error).__name__})"}


def main_of(thing: "dict[str, Any]") -> str:
    """The aspect that says whether a thing is there at all."""
    return "type" if thing["kind"] == "file" else "state"


def differences(thing: "dict[str, Any]", key: str, host: Host) -> "list[dict[str, Any]]":
    """What is not as a thing was left: [{"label", "aspect", "old": as it is, "new": as it was left, "since"}].

    What is on its way (a service that starts) is no difference yet. `since` is a time, or 0 where it cannot be told.
    """
    left, main = thing["values"], main_of(thing)
    now = values_of(thing, key, host)
    another = main in left and now.get(main) != left[main]
    names = [main] if another else [name for name in sorted(left) if now.get(name) not in (left[name], *SETTLING)]
    return [
        {
            "label": thing["label"],
            "aspect": "" if name == main else name,
            "old": now.get(name),
            "new": left[name],
            "since": since(thing, host),
        }
        for name in names
    ]


def since(thing: "dict[str, Any]", host: Host) -> float:
    """When a thing was last changed, as far as the host itself can tell."""
    if thing.get("path") and thing["kind"] in ("file", "line", "block", "replacement", "option"):
        return changed_at(thing["path"])
    if thing["kind"] == "service":
        return time_of(host.shown.get(unit_of(thing["service"]), {}).get("StateChangeTimestamp", ""))
    return 0.0


def restarted(things: "list[dict[str, Any]]", taken: float, host: Host) -> "list[dict[str, Any]]":
    """What was started again since it was stamped, which is no difference: [{"what", "at", "itself"}].

    `itself` is how often systemd did that by itself. Where the whole machine was, that is all that is told.
    """
    if taken and booted() > taken:
        return [{"what": "the machine", "at": booted(), "itself": 0}]
    found = []
    for thing in things:
        now, left = started(thing, host), thing.get("started") or {}
        if now and left and now["id"] != left["id"]:
            itself = int(now["itself"]) if now["itself"].isdigit() else 0
            found.append({"what": thing["label"], "at": time_of(now["at"]), "itself": itself})
    return found


def time_of(text: str) -> float:
    """A time as systemd writes it (`Wed 2026-11-25 16:21:30 UTC`), in seconds since the epoch; 0 where it is none."""
    import calendar

    with contextlib.suppress(ValueError, IndexError):
        words = text.split()
        parsed = time.strptime(" ".join(words[1:3]), "%Y-%m-%d %H:%M:%S")
        return float(calendar.timegm(parsed) if words[3] == "UTC" else time.mktime(parsed))
    return 0.0


def fingerprint(things: "list[dict[str, Any]]", key: str, before: "Any") -> "tuple[list[Any], list[dict[str, Any]]]":
    """Take down things as they are -> the differences that nobody has mended, and the things that cannot be verified.

    A difference from before this apply that is still there, in an aspect that no task sets, stays one: the value that
    is kept is the old one. So does what is not as a task's own arguments say, where a service's state is concerned;
    other things that are not as expected have been misunderstood by us, and are not verified.
    """
    host = Host(things)
    was = {(d["label"], d["aspect"]): d for d in before}
    unmended, unsure = [], []
    for thing in things:
        thing["values"] = values = values_of(thing, key, host)
        thing["started"] = started(thing, host)
        main, expected = main_of(thing), thing["expect"]
        wrong = [name for name in sorted(expected) if values.get(name) not in expected[name]]
        unseen = values.get(main, "").startswith("unreadable") or "unknown" in values.values()
        if unseen or (wrong and thing["kind"] != "service"):
            unsure.append(thing)
        for name in wrong if thing["kind"] == "service" and values[main] == "there" else ():
            left = expected[name][0]
            unmended.append({"label": thing["label"], "aspect": name, "old": values.get(name), "new": left, "since": 0})
            values[name] = left
        for name in sorted(set(values) - set(thing["enforced"])):
            difference = was.get((thing["label"], "" if name == main else name))
            if difference and difference["old"] == values[name]:
                values[name] = difference["new"]
                unmended.append(difference)
    return unmended, unsure


def lessened(coverage: "Any", unsure: "list[dict[str, Any]]") -> "Any":
    """Coverage without the tasks behind things that could not be verified after all."""
    if not coverage:
        return coverage
    names = {name for thing in unsure for name in thing["tasks"]} - set(coverage["unverified"])
    unverified = sorted([*coverage["unverified"], *names])
    return {"verified": max(0, coverage["verified"] - len(names)), "total": coverage["total"], "unverified": unverified}
