"""Which learner knows which module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.modes.stable.learning import files, parts, system
from orchestrator.modes.stable.learning.things import Args, Task, Thing

Learner = Callable[[Args, Args, Task], "list[Thing] | None"]
"""A task's arguments and result -> its things; empty where it leaves nothing behind, None where it is not verified."""

COLLECTIONS = frozenset(
    [
        "ansible.builtin",
        "ansible.legacy",
        "ansible.posix",
        "community.general",
        "community.crypto",
        "community.docker",
        "containers.podman",
    ]
)
LEARNERS: dict[str, Learner] = {
    "file": files.file_task,
    "copy": files.copy,
    **dict.fromkeys(("template", "assemble", "get_url", "deb822_repository"), files.whole),
    "unarchive": files.unarchive,
    **dict.fromkeys(("openssl_privatekey", "openssl_csr", "openssl_dhparam", "x509_certificate"), files.named_file),
    **dict.fromkeys(("command", "shell", "script", "raw", "expect"), files.guarded),
    "alternatives": files.link_of,
    "yum_repository": files.yum_repository,
    "lineinfile": parts.lineinfile,
    "blockinfile": parts.blockinfile,
    "replace": parts.replace,
    "ini_file": parts.ini_file,
    "apt_repository": parts.apt_repository,
    "cron": parts.cron,
    "authorized_key": parts.authorized_key,
    **dict.fromkeys(("apt", "dnf", "dnf5", "yum", "package", "apk", "zypper"), system.packages),
    "pip": system.pip,
    **dict.fromkeys(("service", "systemd", "systemd_service", "sysvinit"), system.service),
    "user": system.user,
    "group": system.group,
    "sysctl": system.sysctl,
    "mount": system.mount,
    "hostname": system.hostname,
    "timezone": system.timezone,
    "locale_gen": system.locale,
    "modprobe": system.modprobe,
    "debconf": system.debconf,
    "git": system.git,
    "docker_container": lambda args, result, task: system.container("docker", args, task),
    "podman_container": lambda args, result, task: system.container("podman", args, task),
}
# Tasks that leave nothing behind that could be verified.
NEUTRAL = frozenset(
    [
        "add_host",
        "assert",
        "async_status",
        "debug",
        "fail",
        "fetch",
        "find",
        "gather_facts",
        "getent",
        "group_by",
        "import_playbook",
        "import_role",
        "import_tasks",
        "include_role",
        "include_tasks",
        "include_vars",
        "meta",
        "package_facts",
        "pause",
        "ping",
        "reboot",
        "service_facts",
        "set_fact",
        "set_stats",
        "setup",
        "slurp",
        "stat",
        "tempfile",
        "validate_argument_spec",
        "wait_for",
        "wait_for_connection",
    ]
)


def learn(action: str, args: Mapping[str, Any], result: Mapping[str, Any], task: Task) -> list[Thing] | None:
    """The things of a task that ended well; empty where it leaves nothing behind, None where it is not verified."""
    collection, _, name = action.rpartition(".")
    ours = not collection or collection in COLLECTIONS
    if (ours and name in NEUTRAL) or name.endswith(("_info", "_facts")):
        return []
    learner = LEARNERS.get(name) if ours else None
    return learner(args, result, task) if learner else None


def manages(action: str) -> bool:
    """Whether a task of this module makes something that can be verified, whatever it says of `changed`."""
    collection, _, name = action.rpartition(".")
    return (not collection or collection in COLLECTIONS) and name in LEARNERS and LEARNERS[name] is not files.guarded


def merged(old: Thing | None, new: Thing) -> Thing:
    """Two tasks on one thing: the last one says whether it is there; content beats what lies around it."""
    if old is None or old["kind"] != new["kind"]:
        return new
    tasks = list(dict.fromkeys([*old["tasks"], *new["tasks"]]))
    if new["kind"] in ("service", "container"):
        asked = sorted({*old["asked"], *new["asked"]})
        expect = {**old["expect"], **new["expect"]}
        return {**new, "asked": asked, "expect": expect, "enforced": _both(old, new), "tasks": tasks}
    if new["kind"] != "file" or "absent" in (old["scope"], new["scope"]):
        return {**new, "tasks": tasks}
    scope = max(old["scope"], new["scope"], key=("exists", "meta", "whole").index)
    expect = {} if scope != "exists" else new["expect"]
    return {**new, "scope": scope, "enforced": _both(old, new), "expect": expect, "tasks": tasks}


def _both(old: Thing, new: Thing) -> list[str]:
    return sorted({*old["enforced"], *new["enforced"]})
