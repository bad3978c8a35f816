"""Snapshots of machines: taken before a change, given back where it went wrong, dropped where it went well.

Changes are of machines or of configurations; what is kept is the machine below them, once for all its changes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from orchestrator.errors import DriverError
from orchestrator.model.address import MACHINE
from orchestrator.model.change import Change
from orchestrator.model.observation import Unreachable
from orchestrator.model.outcome import Outcome, Result
from orchestrator.modes.stable.machines import name_of_machine
from orchestrator.modes.stable.place import Machine, Place
from orchestrator.modes.stable.provider_runs import ProviderRuns, Told
from orchestrator.modes.stable.reach.reaching import first_answer
from orchestrator.modes.stable.removals import host_of

VERBS = ("snapshot", "restore", "snapshot_delete")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Snapshots:
    """One site's snapshots, where its provider can take them."""

    def __init__(self, place: Place, runs: ProviderRuns) -> None:
        self._place = place
        self._runs = runs

    def why_not(self) -> str:
        """Why there are no snapshots here; "" where there are."""
        return "" if self._runs.can(*VERBS) else f"provider {self._place.provider.name} takes no snapshots"

    def take(self, changes: Sequence[Change], name: str) -> Iterator[Outcome]:
        """Keep each machine as it is now; a snapshot of that name that is there stays as it is."""
        yield from self._run("snapshot", changes, name, lambda host: (Result.DONE, f"snapshot {name}"))

    def restore(self, changes: Sequence[Change], name: str) -> Iterator[Outcome]:
        """Give each machine back as it was, and wait until it answers; the snapshot stays."""
        yield from self._run("restore", changes, name, lambda host: self._answers(host, name))

    def drop(self, changes: Sequence[Change], name: str) -> Iterator[Outcome]:
        """Remove the snapshots of that name; one that is gone is gone."""
        yield from self._run("snapshot_delete", changes, name, lambda host: (Result.DONE, ""))

    def _run(
        self, verb: str, changes: Sequence[Change], name: str, settle: Callable[[str], tuple[Result, str]]
    ) -> Iterator[Outcome]:
        """One run for all machines, then `settle` for each that came through; one outcome for each change."""
        if not _NAME.fullmatch(name):
            raise DriverError(f"`{name}` is no name for a snapshot", hint="1 to 63 of a-z 0-9 -, not - at an end")
        started = time.monotonic()
        if message := self.why_not():
            yield from (Outcome(change.address, Result.FAILED, message) for change in changes)
            return
        hosts = list(dict.fromkeys(_machine(change) for change in changes))
        if not hosts:
            return
        with self._place.held(hosts):
            answer = self._runs.run(verb, [{"name": host} for host in hosts], snapshot=name)
            for told in answer.machines.values():
                self._moved(told)
            whole = [host for host in hosts if not answer.failure(host)[0]]
            with ThreadPoolExecutor(max_workers=min(32, len(whole) or 1)) as pool:
                settled = dict(zip(whole, pool.map(settle, whole), strict=True))
        for change in changes:
            host = _machine(change)
            why, task = answer.failure(host)
            result, message = settled.get(host, (Result.FAILED, why))
            outcome = Outcome(change.address, result, message, task=task, log=answer.log)
            yield replace(outcome, seconds=time.monotonic() - started)

    def _moved(self, told: Told) -> None:
        """A machine that came back may be reached elsewhere."""
        known = self._place.machines.get(told.name)
        if known is not None:
            self._place.machines[told.name] = Machine(told.name, known.workload, told.address, told.vars)

    def _answers(self, host: str, name: str) -> tuple[Result, str]:
        deadline = time.monotonic() + first_answer()
        while isinstance(answer := self._place.ask({host: {"do": "look"}}, fresh=True)[host], Unreachable):
            if time.monotonic() > deadline:
                return Result.UNREACHABLE, f"as in snapshot {name}, and does not answer: {answer.why}"
            time.sleep(1.0)
        return Result.DONE, f"as in snapshot {name}"


def _machine(change: Change) -> str:
    """The name of the machine that a change is made on."""
    if change.address.kind == MACHINE:
        return name_of_machine(change)
    return str(change.unit.spec["host"]) if change.unit is not None else host_of(change)
