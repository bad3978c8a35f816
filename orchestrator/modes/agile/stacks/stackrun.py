"""One run of a stack: the changes of a workload go through Pulumi, and their outcomes come back as they are known."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change
from orchestrator.model.outcome import Outcome, Result
from orchestrator.model.values import Value
from orchestrator.modes.agile.client.api import UnreachedError
from orchestrator.modes.agile.objects import metadata
from orchestrator.modes.agile.ordering import NAMESPACES, needs_failed, rank
from orchestrator.modes.agile.stacks import inprocess
from orchestrator.modes.agile.stacks.process import Pulumi
from orchestrator.modes.agile.stacks.program import Resource, name_of_urn, program
from orchestrator.modes.agile.stacks.provider import Provider
from orchestrator.modes.agile.stacks.stack import Stack

_DELETIONS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Hands:
    """What the run does with the cluster.

    prepare  makes what objects need before they are created -> why a namespace cannot be used, by its name
    """

    make: Callable[[Change], Outcome]
    unmake: Callable[[Change], Outcome]
    prepare: Callable[[], Mapping[str, str]]
    closing: threading.Event


class StackRun:
    """Carries out changes of one workload; see `provider.Work`."""

    def __init__(self, stack: Stack, changes: Sequence[Change], hands: Hands, scrub: Callable[[str], str]) -> None:
        self._stack = stack
        self._hands = hands
        self._scrub = scrub
        self._changes = {_name(change.address): change for change in changes}
        self._resources = [_resource(change) for change in changes if change.unit is not None]
        self._urns = stack.urns(self._resources)
        self._told: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        self._outcomes: dict[Address, Outcome] = {}
        self._failed: list[tuple[str, Mapping[str, Value]]] = []
        self._troubles: Mapping[str, str] | None = None
        self._deleting = threading.Lock()
        self._started = False
        self._error = ""

    def run(self, program: Path, environment: Mapping[str, str]) -> Iterator[Outcome]:
        """Do it; one outcome for each change."""
        pulumi = Pulumi(program)
        worker = threading.Thread(target=self._work, args=(pulumi, environment), name=f"stack {self._stack.name}")
        worker.start()
        try:
            while (outcome := self._told.get()) is not None:
                yield outcome
        finally:
            if worker.is_alive() and not self._is_settled():
                pulumi.end()
            worker.join()

    # -- what the provider asks for

    def change_of(self, urn: str) -> Change | None:
        """The change that a resource is about; a resource in an API version that is not declared any more has none."""
        name = name_of_urn(urn)
        change = self._changes.get(name)
        return None if change is None or self._urns.get(name, urn) != urn else change

    def make(self, change: Change) -> Outcome:
        """Make it."""
        return self._settle(change, self._hands.make(change))

    def unmake(self, change: Change) -> Outcome | None:
        """Delete it; what is to be replaced is removed by its making."""
        if change.action != Action.DELETE:
            return None
        self._delete_all()
        return self._outcomes[change.address]

    # -- the worker

    def _work(self, pulumi: Pulumi, environment: Mapping[str, str]) -> None:
        try:
            known = self._stack.known()
            targets = list(dict.fromkeys([*self._urns.values(), *(u for n in self._changes for u in known.get(n, ()))]))
            if targets:
                self._through_pulumi(pulumi, targets, environment)
            self._delete_all()
        except Exception as error:  # noqa: BLE001 - a thread's last resort: told as outcomes
            self._error = self._error or self._scrub(f"{type(error).__name__}: {error}")
        finally:
            self._settle_the_rest()
            self._told.put(None)

    def _through_pulumi(self, pulumi: Pulumi, targets: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run the stack; state that cannot be used (another passphrase, a damaged file) is dropped, and made anew."""
        from pulumi.automation import CommandError

        work = program(self._resources, self._may_start, self._refused)

        def started() -> None:
            self._started = True
            work()

        with inprocess.serving(Provider(self), threads=len(self._changes) + 8) as port:
            settings = {**environment, "PULUMI_DEBUG_PROVIDERS": f"kubernetes:{port}"}
            for last in (False, True):
                try:
                    self._stack.up(pulumi, started, targets, settings)
                except CommandError as error:
                    self._error = self._scrub(_said(str(error)))
                    if not self._started and not last:
                        self._stack.remove()
                        targets = list(self._urns.values())
                        continue
                return

    def _may_start(self, resource: Resource) -> bool:
        change = self._changes[resource.name]
        outcome = self._forbidden(resource, change)
        if outcome is not None:
            self._settle(change, outcome)
        return outcome is None

    def _forbidden(self, resource: Resource, change: Change) -> Outcome | None:
        """Why an object is not even tried."""
        where = str(change.unit.spec.get("where") or change.unit.source) if change.unit else ""
        if self._hands.closing.is_set():
            return Outcome(change.address, Result.INTERRUPTED, "not started")
        if rank(resource.kind) > NAMESPACES and self._troubles is None:
            try:
                self._troubles = self._hands.prepare()
            except UnreachedError as unreached:
                return Outcome(change.address, Result.UNREACHABLE, unreached.cause)
        namespace = str(metadata(resource.manifest).get("namespace"))
        if trouble := (self._troubles or {}).get(namespace):
            return Outcome(change.address, Result.FAILED, self._scrub(trouble), where=where)
        if needed := needs_failed(resource.manifest, self._failed):
            return Outcome(change.address, Result.HELD, f"not started: {needed} is not done")
        return None

    def _refused(self, resource: Resource, why: str) -> None:
        """The engine did not take it, or says again what the provider has answered."""
        change = self._changes[resource.name]
        if change.address not in self._outcomes:
            self._settle(change, Outcome(change.address, Result.FAILED, self._scrub(f"Pulumi: {why}")))

    def _delete_all(self) -> None:
        """Every deletion, in the opposite order of making; the first who needs one does all of them."""
        with self._deleting:
            left = [c for c in self._changes.values() if c.action == Action.DELETE and c.address not in self._outcomes]
            if left and self._failed:
                why = f"not started: {self._failed[0][0]} is not done"
                for change in left:
                    self._settle(change, Outcome(change.address, Result.HELD, why))
                return
            left.sort(key=lambda c: -rank(c.address.kind))
            for _, group in groupby(left, key=lambda c: rank(c.address.kind)):
                with ThreadPoolExecutor(max_workers=_DELETIONS_AT_ONCE) as pool:
                    list(pool.map(lambda change: self._settle(change, self._hands.unmake(change)), group))

    def _settle(self, change: Change, outcome: Outcome) -> Outcome:
        if outcome.result != Result.DONE and change.unit is not None:
            self._failed.append((change.address.label, _manifest(change)))
        self._outcomes[change.address] = outcome
        self._told.put(outcome)
        return outcome

    def _is_settled(self) -> bool:
        return len(self._outcomes) == len(self._changes)

    def _settle_the_rest(self) -> None:
        """What nobody has answered for: the engine ended before."""
        result = Result.INTERRUPTED if self._hands.closing.is_set() else Result.FAILED
        for change in self._changes.values():
            if change.address not in self._outcomes:
                self._settle(
                    change, Outcome(change.address, result, self._error or "Pulumi ended before this was done")
                )


def _name(address: Address) -> str:
    return f"{address.kind}/{address.name}"


def _manifest(change: Change) -> Mapping[str, Value]:
    manifest = change.unit.spec["object"] if change.unit else {}
    assert isinstance(manifest, Mapping)
    return manifest


def _resource(change: Change) -> Resource:
    return Resource(_name(change.address), change.address.kind, _manifest(change))


def _said(text: str) -> str:
    """What Pulumi says went wrong, without its command's whole output."""
    lines = [line.strip() for line in text.splitlines() if "error:" in line.lower()]
    return "Pulumi: " + ("; ".join(lines[-3:]) or text.strip()[-300:])
