"""Asking hosts: our side of the reach worker, started when first needed and shared by all sites of a command."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import DriverError
from orchestrator.model.observation import Unreachable
from orchestrator.modes.stable.environment import environment_for

HOST_TIMEOUT_S = 10.0
FIRST_ANSWER_S = 180.0
# Ansible only warns of an inventory that it does not understand, and goes on without its hosts.
READ_WHOLE = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True", "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True"}
INVENTORY_TIMEOUT_S = 120.0
# The worker gives up on a host itself; we wait longer only for its own start on a busy computer.
PATIENCE_S = 60.0
# For so long a host that did not answer in its time is not asked again: it costs a command its time once.
SILENT_S = 30.0
NO_VAULTS: Mapping[str, str] = {}
TIMED_OUT = "timed out after"  # as the worker says it


@dataclass(frozen=True, slots=True)
class Hosts:
    """How hosts are reached: those of an inventory, or machines by their variables (inventory name -> variables)."""

    inventory: Path | None = None
    machines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    plugins: tuple[Path, ...] = ()
    vaults: Mapping[str, str] = field(default_factory=dict, repr=False)  # passwords of what the inventory encrypts


def host_timeout() -> float:
    """How long one host may take to answer, in seconds. Raises DriverError where the setting is no number."""
    return _seconds("ORCHESTRATOR_HOST_TIMEOUT", HOST_TIMEOUT_S)


def first_answer() -> float:
    """How long a machine that has just been started may take to answer, in seconds. Raises DriverError likewise."""
    return _seconds("ORCHESTRATOR_FIRST_ANSWER", FIRST_ANSWER_S)


def _seconds(name: str, default: float) -> float:
    text = os.environ.get(name, "")
    try:
        return float(text) if text else default
    except ValueError:
        raise DriverError(f"{name}={text}: not a number of seconds", hint=f"as in {default:g}") from None


@dataclass(frozen=True, slots=True)
class _Worker:
    """A process, and those who wait for its answers: the end of one worker is no answer of its successor's."""

    process: subprocess.Popen[str]
    waiting: dict[int, Future[dict[str, Any]]] = field(default_factory=dict)


class Reach:
    """One worker process; calls may come from several threads. `root` is the estate's folder."""

    def __init__(self, root: Path, scrub: Callable[[str], str]) -> None:
        self._root = root
        self._scrub = scrub
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._worker: _Worker | None = None
        self._last = 0
        self._silent: dict[tuple[str, str], tuple[float, Unreachable]] = {}

    def start(self) -> None:
        """Start the worker now, side by side with whatever comes before its first request: it takes a while."""
        with self._lock:
            self._started()

    def inventory(self, path: Path, vaults: Mapping[str, str] = NO_VAULTS) -> dict[str, dict[str, Any]]:
        """All hosts of an Ansible inventory, in its order: name -> {"address", "groups"}. Raises DriverError."""
        if not path.exists():
            raise DriverError(f"inventory {path}: there is no such file", hint="see `inventory:` of the Site")
        request = {"op": "inventory", "path": str(path), "vaults": dict(vaults)}
        answer = self._wait(self._ask(request), INVENTORY_TIMEOUT_S)
        if "hosts" not in answer:
            raise DriverError(f"inventory {path}: {self._scrub(str(answer.get('error')))}")
        hosts: dict[str, dict[str, Any]] = answer["hosts"]
        return hosts

    def probe(
        self,
        hosts: Hosts,
        asks: Mapping[str, Mapping[str, Any]],
        *,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> dict[str, dict[str, Any] | Unreachable]:
        """Ask each host (inventory name -> what), all at once -> what it answers. Raises DriverError.

        A host whose time ran out a moment ago is not asked again, unless by a `fresh` connection.
        """
        seconds = timeout or host_timeout()
        futures, silent = {}, {} if fresh else self._still_silent(hosts, asks)
        for name, ask in asks.items():
            if name in silent or (hosts.inventory is None and name not in hosts.machines):
                continue
            request = {"op": "probe", "host": name, "ask": dict(ask), "fresh": fresh, "timeout": seconds}
            request |= {"vaults": dict(hosts.vaults), "plugins": [str(folder) for folder in hosts.plugins]}
            request |= {"inventory": str(hosts.inventory)} if hosts.inventory else {"vars": dict(hosts.machines[name])}
            futures[name] = self._ask(request)
        answers: dict[str, dict[str, Any] | Unreachable] = {}
        for name in asks:
            if name in silent:
                answers[name] = silent[name]
            elif name in futures:
                answers[name] = self._told(name, self._wait(futures[name], seconds + PATIENCE_S))
                self._remember(hosts, name, answers[name])
            else:
                answers[name] = unreachable(f"{name}: it is not known how to reach it")
        return answers

    def _still_silent(self, hosts: Hosts, names: Iterable[str]) -> dict[str, Unreachable]:
        now = time.monotonic()
        with self._lock:
            known = {name: self._silent.get(_whose(hosts, name), (0.0, None)) for name in names}
        return {name: why for name, (since, why) in known.items() if why is not None and now < since + SILENT_S}

    def _remember(self, hosts: Hosts, name: str, answer: dict[str, Any] | Unreachable) -> None:
        with self._lock:
            if isinstance(answer, Unreachable) and TIMED_OUT in answer.why:
                self._silent[_whose(hosts, name)] = time.monotonic(), answer
            else:
                self._silent.pop(_whose(hosts, name), None)

    def _told(self, name: str, answer: Mapping[str, Any]) -> dict[str, Any] | Unreachable:
        if "answer" in answer:
            told: dict[str, Any] = answer["answer"]
            return told
        if "unreachable" in answer:
            return unreachable(self._scrub(str(answer["unreachable"])))
        return unreachable(f"{name}: {self._scrub(str(answer.get('error')))}")

    def _ask(self, request: dict[str, Any]) -> Future[dict[str, Any]]:
        future: Future[dict[str, Any]] = Future()
        # Two locks: the worker stops reading while it is busy, and must still be able to answer.
        with self._writing:
            with self._lock:
                worker = self._started()
                self._last += 1
                number = self._last
                worker.waiting[number] = future
            stdin = worker.process.stdin
            assert stdin is not None
            # If it has died, its reader says so to everybody who waits.
            with contextlib.suppress(OSError):
                stdin.write(json.dumps({"id": number, **request}) + "\n")
                stdin.flush()
        return future

    def _wait(self, future: Future[dict[str, Any]], seconds: float) -> dict[str, Any]:
        try:
            return future.result(timeout=seconds)
        except TimeoutError:
            raise DriverError("the process that speaks to hosts does not answer", hint="try again") from None

    def _started(self) -> _Worker:
        if self._worker is None or self._worker.process.poll() is not None:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "orchestrator.modes.stable.reach.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=self._root,
                env=environment_for(self._root, self._scrub) | READ_WHOLE,
                # No terminal: ssh would ask for host keys and passwords there. It ends with its stdin instead.
                start_new_session=True,
            )
            self._worker = _Worker(process)
            threading.Thread(target=self._read, args=(self._worker,), daemon=True, name="reach").start()
        return self._worker

    def _read(self, worker: _Worker) -> None:
        process = worker.process
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            answer = json.loads(line)
            with self._lock:
                future = worker.waiting.pop(answer.pop("id"))
            future.set_result(answer)
        said = process.stderr.read().strip().splitlines()
        why = DriverError(f"the process that speaks to hosts has ended: {said[-1] if said else 'killed'}")
        with self._lock:
            if self._worker is worker:  # nobody may ask it any more, even where it has not quite ended
                self._worker = None
        process.wait()
        for future in worker.waiting.values():
            future.set_exception(why)

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            assert worker.process.stdin is not None
            worker.process.stdin.close()
            worker.process.wait(timeout=10)


def _whose(hosts: Hosts, name: str) -> tuple[str, str]:
    """A host, whoever asks: one of an inventory, or a machine by how it is reached."""
    return str(hosts.inventory or json.dumps(hosts.machines.get(name, {}), sort_keys=True)), name


def unreachable(why: str) -> Unreachable:
    """Nothing is known of what depends on a host that did not answer."""
    return Unreachable(why, cause=why)
