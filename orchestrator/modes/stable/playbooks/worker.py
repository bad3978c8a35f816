"""The process that runs ansible-runner for us, so that nothing is ever forked from our own process.

`python -m orchestrator.modes.stable.playbooks.worker FOLDER` loads Ansible with the settings that hold in the folder,
reads one order, a JSON line on stdin, runs one playbook there, and writes JSON lines to stdout: what happened,
translated from ansible-runner's events to the few fields that we use.

    {"kind": "task", "task", "where", "host"}                               a task starts on a host
    {"kind": "failed" | "unreachable", "host", "task", "where", "action", "message", "ignored"}
    {"kind": "text", "host" or null, "text"}                                what ansible-playbook printed
    {"kind": "stats", "processed", "failed", "unreachable", "data"}         per host; `data` is what set_stats gave
    {"kind": "end", "learnt"}                                               what our callback plugin has learnt, or null

stdin stays open: when it ends, whoever ordered the run is gone, and the run is killed with everything that it started
and its folder removed. The folder holds secrets (variables, rendered files), is ours alone, and never outlives the run.
"""

from __future__ import annotations

import configparser
import contextlib
import importlib
import json
import os
import re
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FAILED = {"runner_on_failed": "failed", "runner_item_on_failed": "item", "runner_on_unreachable": "unreachable"}
# A connection whose other end is gone without a word would hang for ever: it is given up after a minute.
ALIVE = "-o ServerAliveInterval=15 -o ServerAliveCountMax=4"
# What Ansible puts before a message says no more than that there is one.
FRAMES = re.compile(r"^(?:Task failed: |Module failed: )+")
# What Amazon has said: it is in the traceback only where a module wraps it in an error of its own.
CAUSE = re.compile(r"^(?:boto3|botocore)\.[\w.]+: (.+)$", re.MULTILINE)
PLUGINS = Path(__file__).with_name("callback_plugins")


def descendants(root: int) -> list[int]:
    """The ids of all processes that a process has started, and theirs."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        more = children.get(todo.pop(), [])
        found += more
        todo += more
    return found


def kill_and_leave(folder: Path) -> None:
    """Kill everything that we have started, remove the run's folder, and end."""
    for _ in range(20):
        left = descendants(os.getpid())
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            break
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.02)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def wait_for_end(folder: Path) -> None:
    """In a thread: until whoever ordered the run closes our stdin, or dies."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    kill_and_leave(folder)


def message_of(result: Mapping[str, Any]) -> str:
    """What a failed task says, in at most a dozen lines."""
    if "censored" in result:
        return "its output is hidden by no_log"
    parts = [str(result.get(key) or "").strip() for key in ("msg", "module_stderr", "stderr", "stdout")]
    if any(parts[1:]) and parts[0] in ("non-zero return code", "MODULE FAILURE"):
        parts[0] = f"exit code {result.get('rc')}"
    parts[0] = FRAMES.sub("", parts[0])
    cause = CAUSE.search(str(result.get("exception") or ""))
    if cause and cause[1] not in parts[0]:
        parts[0] = f"{parts[0]}: {cause[1]}"
    text = "\n".join(dict.fromkeys(part for part in parts if part))
    return "\n".join(text.splitlines()[-12:])


def translated(event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What one of ansible-runner's events tells, in our own words."""
    data = event.get("event_data") or {}
    kind, host = event.get("event", ""), data.get("host")
    at = {"host": host, "task": data.get("task", ""), "where": data.get("task_path", "")}
    if event.get("stdout"):
        yield {"kind": "text", "host": host, "text": event["stdout"]}
    if kind == "runner_on_start":
        yield {"kind": "task", **at}
    elif kind in FAILED:
        failed = {"action": data.get("task_action", ""), "message": message_of(data.get("res") or {})}
        yield {"kind": FAILED[kind], **at, **failed, "ignored": bool(data.get("ignore_errors"))}
    elif kind == "playbook_on_stats":
        hosts = {name: sorted(data.get(key) or {}) for name, key in STATS.items()}
        yield {"kind": "stats", **hosts, "data": data.get("artifact_data") or {}}


STATS = {"processed": "processed", "failed": "failures", "unreachable": "dark"}


def environment(order: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """What is added to our own environment: each on top of what the user's own settings say in this folder."""
    from ansible import constants

    def path_with(name: str, *first: str) -> str:
        return os.pathsep.join([*first, *map(str, getattr(constants, name) or ())])

    _, origin = constants.config.get_config_value_and_origin("ANSIBLE_PIPELINING")
    return {
        "ANSIBLE_ROLES_PATH": path_with("DEFAULT_ROLES_PATH", *order["roles"]),
        "ANSIBLE_COLLECTIONS_PATH": path_with("COLLECTIONS_PATHS", *order["collections"]),
        "ANSIBLE_CONNECTION_PLUGINS": path_with("DEFAULT_CONNECTION_PLUGIN_PATH", *order["plugins"]),
        "ANSIBLE_CALLBACK_PLUGINS": path_with("DEFAULT_CALLBACK_PLUGIN_PATH", str(PLUGINS)),
        # ansible-runner switches this off where nothing is said.
        "ANSIBLE_HOST_KEY_CHECKING": str(constants.HOST_KEY_CHECKING),
        "ANSIBLE_PIPELINING": str(origin == "default" or bool(constants.ANSIBLE_PIPELINING)),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_SSH_EXTRA_ARGS": f"{extra_args(constants.CONFIG_FILE)} {ALIVE}".strip(),
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        **({"ANSIBLE_DISPLAY_TRACEBACK": "error"} if order["causes"] else {}),
        "ORCHESTRATOR_RUN": str(folder),
    }


def extra_args(settings: str | None) -> str:
    """What the user's own settings give to ssh at the end of its command line; what stands there first counts."""
    given = os.environ.get("ANSIBLE_SSH_EXTRA_ARGS")
    if given is not None or settings is None:
        return given or ""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(settings)
    return parser.get("ssh_connection", "ssh_extra_args", fallback="")


def arguments(order: Mapping[str, Any], folder: Path) -> str:
    """ansible-playbook's command line, beside the playbook and the inventory."""
    cmdline = f"-e @{folder / 'vars.yml'} --forks {int(order['forks'])}"
    for label in order["vaults"]:
        cmdline += f" --vault-id {label}@{folder / f'vault-{label}'}"
    for option in ("tags", "skip_tags"):
        if order[option]:
            cmdline += f" --{option.replace('_', '-')} {shlex.quote(','.join(order[option]))}"
    if order["check"]:
        cmdline += " --check"
    if order["limit"]:
        (folder / "limit").write_text("\n".join(order["limit"]) + "\n")
        cmdline += f" --limit @{folder / 'limit'}"
    return cmdline


def run(order: Mapping[str, Any], folder: Path, tell: Any) -> None:
    """Run the ordered playbook to its end."""
    from ansible_runner.interface import init_runner

    for name in ("runner", "tmp"):
        (folder / name).mkdir()
    for name, text in order["files"].items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)

    def handle(event: Mapping[str, Any]) -> bool:
        for one in translated(event):
            tell(one)
        return False  # ansible-runner need not keep it

    runner = init_runner(
        private_data_dir=str(folder / "runner"),
        project_dir=sys.argv[1],
        playbook=order["playbook"] or str(folder / "playbook.yml"),
        inventory=order["inventory"] or str(folder / "inventory.yml"),
        cmdline=arguments(order, folder),
        envvars=environment(order, folder),
        event_handler=handle,
        fact_cache_type="",  # else it puts its own, a new one each time, in place of what the user's settings name
        suppress_env_files=True,
        quiet=True,
    )
    # ansible-runner gives it a terminal: `vars_prompt` and `pause` would wait for an answer that never comes.
    runner.config.command = ["sh", "-c", 'exec "$@" < /dev/null', "sh", *runner.config.command]
    runner.run()
    learnt = folder / "learnt.json"
    tell({"kind": "end", "learnt": json.loads(learnt.read_text()) if learnt.exists() else None})


def main() -> None:
    """Serve one order."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    os.chdir(sys.argv[1])  # where Ansible looks for its ansible.cfg, as soon as it is imported
    for name in ("ansible.constants", "ansible_runner.interface"):  # takes long; what is to be run may not be known yet
        importlib.import_module(name)
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(0, 1 << 16)
        if not more:
            sys.exit("no order; this program is started by orchestrator itself")
        line += more
    order = json.loads(line)
    folder = Path(order["folder"])
    signal.signal(signal.SIGTERM, lambda *_: kill_and_leave(folder))
    threading.Thread(target=wait_for_end, args=(folder,), daemon=True).start()

    def tell(one: Mapping[str, Any]) -> None:
        answers.write(json.dumps(one) + "\n")
        answers.flush()

    try:
        run(order, folder, tell)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)  # somebody waits for our end: not for Python to take itself apart


if __name__ == "__main__":
    main()
