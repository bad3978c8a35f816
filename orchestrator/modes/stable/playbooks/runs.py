"""Runs of ansible-playbook: ordering one, following it, and what became of each host."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from orchestrator.model.values import Value, revealed
from orchestrator.modes.stable.environment import environment_for
from orchestrator.modes.stable.scrubbing import scrubbed, scrubber_for

MOST_FORKS = 50
FOLDER = "orchestrator-run"


@dataclass(frozen=True, slots=True)
class Playbook:
    """What one run of ansible-playbook is.

    cwd        the blueprint's (or the provider's) folder
    path       the playbook; or `text`, one of ours
    inventory  an inventory's path; or `hosts`, the text of one
    limit      inventory names; empty: all
    roles      folders of roles, plugins folders of connection plugins, collections of collections, all searched first
    tags       the only tasks that run; skip_tags those that do not
    carried    handlers that an earlier run could not run: host -> their names
    journal    where the handlers that have not run are written, under `token`
    check      Ansible's check mode: nothing is changed, no handler runs
    causes     tracebacks are told: some modules leave out of their messages what a cloud has said
    """

    cwd: Path
    path: Path | None = None
    text: str = ""
    inventory: Path | None = None
    hosts: str = ""
    limit: tuple[str, ...] = ()
    vars: Mapping[str, Value] = field(default_factory=dict)
    roles: tuple[Path, ...] = ()
    collections: tuple[Path, ...] = ()
    plugins: tuple[Path, ...] = ()
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    carried: Mapping[str, Sequence[str]] = field(default_factory=dict)
    journal: Path | None = None
    token: str = ""
    check: bool = False
    causes: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Where a host failed: `where` is file:line as Ansible knows it."""

    task: str = ""
    where: str = ""
    action: str = ""
    message: str = ""


@dataclass
class Ran:
    """What a run has told, free of secrets.

    texts     what was printed: (host or None, text)
    learnt    host -> {"things", "verified", "total", "unverified"}
    unmatched the plays that matched no host of the limit: {"play", "path", "anywhere"}
    stopped   hosts that were dropped from a play; `unstarted` are the plays that never began
    data      what set_stats gave
    refused   why it was not begun although it could be: {"task", "where", "message"}
    ended     whether it came to its end; if not, `complaint` says why, and `interrupted` whether we ended it
    """

    processed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    unreachable: set[str] = field(default_factory=set)
    failures: dict[str, Failure] = field(default_factory=dict)
    texts: list[tuple[str | None, str]] = field(default_factory=list)
    learnt: Mapping[str, Any] = field(default_factory=dict)
    unmatched: Sequence[Mapping[str, Any]] = ()
    stopped: frozenset[str] = frozenset()
    unstarted: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    refused: Failure | None = None
    ended: bool = False
    interrupted: bool = False
    complaint: str = ""

    def log(self, host: str | None = None) -> str:
        """The log; one host's: without what is about others."""
        return "\n".join(text for about, text in self.texts if host is None or about in (None, host)).strip() + "\n"


Watch = Callable[[str, str], None]
"""Told the host and the task when a task starts."""


def _unwatched(host: str, task: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Begun:
    """A process for one run in `cwd`; `end` ends it, whatever it does, and removes its folder."""

    cwd: Path
    process: subprocess.Popen[str]
    folder: Path
    complaints: IO[bytes]
    end: Callable[[], None]


class Runs:
    """Starts runs and ends them; one for each site. Runs may go on side by side in several threads."""

    def __init__(self, root: Path, scratch: Path, scrub: Callable[[str], str], vaults: Mapping[str, str]) -> None:
        self._vaults = vaults
        self._root = root
        self._scratch = scratch
        self._scrub = scrub
        self._lock = threading.Lock()
        self._active: set[subprocess.Popen[str]] = set()
        self._prepared: _Begun | None = None
        self._closed = False
        self.started = 0

    def prepare(self, cwd: Path) -> None:
        """Begin the process of the next run in this folder now, so that it loads Ansible while there is other work."""
        begun = self._begin(cwd)
        with self._lock:
            begun, self._prepared = self._prepared, begun
        if begun is not None:
            begun.end()

    def run(self, playbook: Playbook, watch: Watch = _unwatched) -> Ran:
        """Run a playbook to its end. A run that could not start or was killed has not `ended`; nothing is raised."""
        begun = self._take_prepared(playbook.cwd) or self._begin(playbook.cwd)
        if begun is None:
            return Ran(complaint="stopped before it began", interrupted=True)
        try:
            return self._follow(begun, playbook, watch)
        finally:
            begun.end()

    def _take_prepared(self, cwd: Path) -> _Begun | None:
        with self._lock:
            begun = self._prepared
            if begun is None or begun.cwd != cwd or begun.process.poll() is not None:
                return None
            self._prepared = None
            return begun

    def _begin(self, cwd: Path) -> _Begun | None:
        """A process that waits for what to run; None where nothing is to begin any more."""
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(_folder(self._scratch))
            complaints = stack.enter_context(tempfile.TemporaryFile())
            process = self._start(cwd, complaints)
            if process is None:
                return None
            stack.callback(self._end, process)
            return _Begun(cwd, process, folder, complaints, stack.pop_all().close)

    def _follow(self, begun: _Begun, playbook: Playbook, watch: Watch) -> Ran:
        process = begun.process
        scrub = scrubber_for(playbook.vars, self._scrub)
        ran = Ran()
        assert process.stdin is not None
        assert process.stdout is not None
        with self._lock:
            self.started += 1
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps(_order(playbook, begun.folder, self._vaults)) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            _tell(ran, scrubbed(json.loads(line), scrub), watch)
        self._end(process)
        ran.interrupted = self._closed and not ran.ended
        begun.complaints.seek(0)
        said = scrub(begun.complaints.read().decode(errors="replace")).strip()
        if not ran.ended:
            ran.complaint = complaint_of(ran.log()) or said[said.rfind("\n") + 1 :] or "it was killed"
        return ran

    def _start(self, cwd: Path, complaints: IO[bytes]) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._closed:
                return None
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "orchestrator.modes.stable.playbooks.worker", str(cwd)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                cwd=self._root,
                env=environment_for(self._root, self._scrub),
                start_new_session=True,
            )
            self._active.add(process)
            return process

    def _end(self, process: subprocess.Popen[str]) -> None:
        """Our end of stdin is its life: it kills what it has started, and itself; nothing where it has ended."""
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with self._lock:
            self._active.discard(process)

    def close(self) -> None:
        """End all runs at once; whoever waits for one gets a run that has not ended."""
        with self._lock:
            self._closed = True
            active, prepared = list(self._active), self._prepared
        for process in active:
            process.terminate()
        if prepared is not None:
            prepared.end()


def _order(playbook: Playbook, folder: Path, vaults: Mapping[str, str]) -> dict[str, Any]:
    orders = {
        "journal": str(playbook.journal or folder / "handlers.json"),
        "token": playbook.token,
        "carried": {host: list(names) for host, names in playbook.carried.items()},
    }
    files = {"orders.json": json.dumps(orders), "vars.yml": vars_text(playbook.vars)}
    if playbook.path is None:
        files["playbook.yml"] = playbook.text
    if playbook.inventory is None:
        files["inventory.yml"] = playbook.hosts
    files |= {f"vault-{label or 'default'}": password for label, password in vaults.items()}
    return {
        "folder": str(folder),
        "playbook": str(playbook.path) if playbook.path else None,
        "inventory": str(playbook.inventory) if playbook.inventory else None,
        "limit": list(playbook.limit),
        "check": playbook.check,
        "causes": playbook.causes,
        "forks": max(1, min(MOST_FORKS, len(playbook.limit))),
        "roles": [str(path) for path in playbook.roles],
        "collections": [str(path) for path in playbook.collections],
        "plugins": [str(path) for path in playbook.plugins],
        "tags": list(playbook.tags),
        "skip_tags": list(playbook.skip_tags),
        "vaults": [label or "default" for label in vaults],
        "files": files,
    }


def vars_text(values: Mapping[str, Value]) -> str:
    """Variables as YAML (JSON, but for `!unsafe`): values are data, so Ansible must not run a template in them."""

    def text(value: Any) -> str:
        if isinstance(value, Mapping):
            return "{" + ", ".join(f"{json.dumps(str(key))}: {text(inner)}" for key, inner in value.items()) + "}"
        if isinstance(value, list | tuple):
            return "[" + ", ".join(text(inner) for inner in value) + "]"
        template = isinstance(value, str) and any(mark in value for mark in ("{{", "{%", "{#"))
        return ("!unsafe " if template else "") + json.dumps(value)

    return text(revealed(dict(values))) + "\n"


def _tell(ran: Ran, one: Mapping[str, Any], watch: Watch) -> None:
    kind, host = one["kind"], one.get("host")
    if kind == "text":
        ran.texts.append((host, one["text"]))
    elif kind == "task":
        watch(str(host), str(one["task"]))
    elif kind in ("failed", "item", "unreachable"):
        message = one["message"]
        if kind == "failed" and (before := ran.failures.get(host or "")) and before.task == one["task"]:
            message = before.message if "item" in message.lower() else message  # a loop says only that one failed
        if not one["ignored"]:
            ran.failures[str(host)] = Failure(one["task"], one["where"], one["action"], message)
    elif kind == "stats":
        ran.processed, ran.failed = set(one["processed"]), set(one["failed"])
        ran.unreachable, ran.data = set(one["unreachable"]), one["data"]
    elif kind == "end":
        learnt = one["learnt"] or {}
        ran.learnt, ran.unmatched = learnt.get("hosts") or {}, learnt.get("unmatched") or ()
        ran.stopped, ran.unstarted = frozenset(learnt.get("stopped") or ()), learnt.get("unstarted") or ()
        ran.refused = Failure(**learnt["refused"]) if "refused" in learnt else None
        ran.ended = bool(learnt) or bool(ran.processed)


def complaint_of(log: str) -> str:
    """Why ansible-playbook gave up altogether: its own error, in one piece; empty where it does not say."""
    found = re.findall(r"^(?:\[ERROR\]: |ERROR! )(.+(?:\n(?!\[|ERROR!|PLAY |TASK ).+){0,12})", log, re.MULTILINE)
    return "\n".join(line.rstrip() for line in found[-1].strip().splitlines()) if found else ""


@contextlib.contextmanager
def _folder(scratch: Path) -> Any:
    """A folder for one run's secrets, in memory where that can be had; those of dead processes are swept."""
    base = Path("/dev/shm")  # noqa: S108 - only a folder with mode 0700 and an unguessable name is made in it
    if not os.access(base, os.W_OK | os.X_OK):
        base = scratch
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}-{os.getpid()}-{_born(os.getpid())}-", dir=base))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(base: Path) -> None:
    for folder in base.glob(f"{FOLDER}-*"):
        with contextlib.suppress(OSError, ValueError):
            pid, born = (int(part) for part in folder.name.split("-")[2:4])
            if folder.lstat().st_uid == os.geteuid() and _born(pid) != born:
                shutil.rmtree(folder, ignore_errors=True)


def _born(pid: int) -> int:
    """When a process was started, in clock ticks since the computer's start; 0 where there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return 0
