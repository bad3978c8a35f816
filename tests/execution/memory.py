"""A target in memory behind the Driver port, a store that only remembers, and a world around both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

from orchestrator import planning
from orchestrator.execution.engine import Planner, RunResult, execute
from orchestrator.execution.reverting import Revert, no_revert
from orchestrator.execution.stop import Stop
from orchestrator.execution.world import World
from orchestrator.model.address import Address, Mode, WorkloadKey
from orchestrator.model.change import Action, Change, Plan, Scope
from orchestrator.model.observation import Absent, Observation, Observed, Present, Tally
from orchestrator.model.outcome import Lease, Outcome, Progress, Report, Result
from orchestrator.model.record import Record
from orchestrator.model.rollout import Rollout
from orchestrator.model.source import Source
from orchestrator.model.unit import Stamp, Unit
from orchestrator.model.values import Unknown
from orchestrator.planning.situation import Situation

ESTATE = "e1"


def unit(text: str, needs: Sequence[str] = (), value: Any = 1) -> Unit:
    address = Address.parse(text)
    return Unit(
        address=address,
        spec={"value": value},
        inputs={"value": value},
        identity=f"{address.kind}/{address.name}",
        source=Source("b.yaml", 1, 1),
        needs=frozenset(Address.parse(need) for need in needs),
    )


@dataclass
class Target:
    """What is there, by address. Every step is written down.

    `fails` names addresses whose steps fail, `lost` those that stop answering in them.
    """

    there: dict[Address, Stamp] = field(default_factory=dict)
    fails: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    steps: list[tuple[str, str]] = field(default_factory=list)
    dies_after: int | None = None
    held_by: Lease | None = None
    closed: bool = False
    can_watch: bool = False
    tell: Callable[[], None] = lambda: None
    kept: dict[Address, dict[Address, Stamp]] = field(default_factory=dict)
    no_snapshots: str = ""
    prepared: list[str] = field(default_factory=list)
    on_step: Callable[[Change], None] = lambda change: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def observe(self, units: Sequence[Unit], known: Sequence[Record]) -> Observed:
        found: dict[Address, Observation] = {
            address: Present(stamp, facts={"address": f"at-{address.name}"}) for address, stamp in self.there.items()
        }
        return Observed({**{u.address: found.get(u.address, Absent()) for u in units}, **found})

    def watch(self, changed: Callable[[], None]) -> bool:
        self.tell = changed
        return self.can_watch

    def prepare(self, changes: Sequence[Change]) -> None:
        self.prepared += [str(change.address) for change in changes]

    def apply(self, changes: Sequence[Change], report: Report) -> Iterator[Outcome]:
        for change in changes:
            self._step(str(change.action), str(change.address))
            self.on_step(change)
            report(Progress(change.address, "under way"))
            if str(change.address) in self.fails:
                yield Outcome(change.address, Result.FAILED, "no")
                continue
            if str(change.address) in self.lost:
                yield Outcome(change.address, Result.UNREACHABLE, "no answer any more")
                continue
            if change.unit is None:
                self.there.pop(change.address, None)
            else:
                self.there[change.address] = change.unit.stamp(ESTATE, "")
            digest = change.unit.digest("") if change.unit else ""
            yield Outcome(change.address, Result.DONE, digest=digest, facts={"address": f"at-{change.address.name}"})

    def why_no_snapshots(self) -> str:
        return self.no_snapshots

    def snapshot(self, changes: Sequence[Change], name: str) -> Iterator[Outcome]:
        yield from self._with_snapshots("snapshot", changes, lambda machine: self._keep(machine))

    def restore(self, changes: Sequence[Change], name: str) -> Iterator[Outcome]:
        yield from self._with_snapshots("restore", changes, lambda machine: self._give_back(machine))

    def drop_snapshot(self, changes: Sequence[Change], name: str) -> Iterator[Outcome]:
        yield from self._with_snapshots("drop snapshot", changes, lambda machine: self.kept.pop(machine, None))

    def _with_snapshots(
        self, verb: str, changes: Sequence[Change], act: Callable[[Address], object]
    ) -> Iterator[Outcome]:
        for change in changes:
            machine = replace(change.address, kind="machine")
            self._step(verb, str(machine))
            if verb in self.fails:
                yield Outcome(change.address, Result.FAILED, "no room")
                continue
            act(machine)
            yield Outcome(change.address, Result.DONE)

    def _keep(self, machine: Address) -> None:
        mine = {a: stamp for a, stamp in self.there.items() if replace(a, kind="machine") == machine}
        self.kept.setdefault(machine, mine)

    def _give_back(self, machine: Address) -> None:
        for address in [a for a in self.there if replace(a, kind="machine") == machine]:
            del self.there[address]
        self.there.update(self.kept[machine])

    def _step(self, action: str, address: str) -> None:
        with self.lock:
            if self.dies_after is not None and len(self.steps) >= self.dies_after:
                raise Killed
            self.steps.append((action, address))

    def take(self, lease: Lease) -> Lease | None:
        return self.held_by

    def release(self, lease: Lease) -> None: ...

    def unlock(self) -> None: ...

    def spent(self) -> Tally:
        return Tally(requests=1)

    def close(self) -> None:
        self.closed = True


class Killed(BaseException):
    """Stands for the end of the process."""


class Journal:
    """The store's part that a run needs; `lines` is what was written, in order."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.reasons: dict[str, str] = {}
        self.waves: dict[str, int] = {}
        self.known: dict[Address, Record] = {}
        self.kept: dict[Address, tuple[str, str]] = {}
        self.verdict = ""

    def begin_run(self, kind: str, plan: Plan, holder: str) -> int:
        return 1

    def end_run(self, run: int, result: str, counts: Mapping[str, int]) -> None:
        self.verdict = result

    @contextmanager
    def together(self) -> Iterator[None]:
        yield

    def intend(self, run: int, change: Change, lease: Lease, *, step: str = "") -> tuple[Address, str]:
        self.lines.append((step or "intend", str(change.address)))
        self.reasons[str(change.address)] = change.reason
        self.waves[str(change.address)] = change.wave
        if step:
            self.kept[change.address] = (step, "")
        return change.address, step

    def finish(self, step: tuple[Address, str], outcome: Outcome, lease: Lease) -> None:
        self.lines.append((str(outcome.result), str(step[0])))
        if step[1]:
            self.kept[step[0]] = (step[1], str(outcome.result))

    def snapshots(self, site: str) -> dict[Address, tuple[str, str]]:
        over = (("drop snapshot", "done"), ("snapshot", "failed"))
        return {a: state for a, state in self.kept.items() if a.site == site and state not in over}

    def save(self, record: Record, lease: Lease | None) -> None:
        self.known[record.address] = record

    def forget(self, address: Address, lease: Lease | None) -> None:
        self.known.pop(address, None)

    def take(self, site: str, holder: str, run: int, ttl: float) -> Lease:
        return Lease(site, holder, run, 1, 0.0, ttl)

    def renew(self, lease: Lease, ttl: float) -> Lease:
        return lease

    def release(self, lease: Lease) -> None: ...


class Told:
    """Everything a watcher is told."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.stops: dict[str, str] = {}
        self.words: dict[str, list[str]] = {}
        self.backs: list[tuple[str, str, bool]] = []

    def progress(self, progress: Progress) -> None:
        self.words.setdefault(str(progress.address), []).append(progress.text)

    def outcome(self, change: Change, outcome: Outcome) -> None:
        self.outcomes[str(change.address)] = outcome

    def stopped(self, site: str, why: str) -> None:
        self.stops[site] = why

    def went_back(self, workload: WorkloadKey, text: str, well: bool) -> None:
        self.backs.append((str(workload), text, well))


class Bench:
    """Desired units over targets in memory, planned and run by the real planner and the real engine."""

    def __init__(
        self, units: Callable[[Mapping[Address, Stamp]], Sequence[Unit]], sites: Sequence[str] = ("s",)
    ) -> None:
        self.units = units
        self.rollouts: dict[tuple[str, Mode], Rollout] = {}
        self.targets = {(site, mode): Target() for site in sites for mode in Mode}
        self.store = Journal()
        self.told = Told()
        self.stop = Stop()
        world = SimpleNamespace(
            drivers=self.targets,
            store=self.store,
            parallel=4,
            holder="me",
            clock=lambda: 0.0,
            sites=frozenset(sites),
            loaded=SimpleNamespace(pins=(), chosen={}),
        )
        self.world = cast(World, world)

    def plan(self, scope: Scope | None = None) -> Plan:
        there = {a: stamp for target in self.targets.values() for a, stamp in target.there.items()}
        wanted = tuple(self.units(there))
        observed: dict[Address, Observation] = {}
        for (site, mode), target in self.targets.items():
            mine = [u for u in wanted if (u.address.site, u.address.mode) == (site, mode)]
            observed |= target.observe(mine, ()).units
        situation = Situation(
            estate="e",
            estate_id=ESTATE,
            observed=observed,
            records=self.store.known,
            scope=scope or Scope(),
            sites=self.world.sites,
            rollouts=self.rollouts,
        )
        return planning.plan(cast(Any, SimpleNamespace(units=wanted, notes=(), diagnostics=())), situation)

    def run(self, shown: Plan | None = None, planner: Planner | None = None, revert: Revert = no_revert) -> RunResult:
        shown, planner = shown or self.plan(), planner or self.plan
        return execute(self.world, shown, planner, self.told, kind="apply", stop=self.stop, revert=revert)

    @property
    def steps(self) -> list[tuple[str, str]]:
        return [step for target in self.targets.values() for step in target.steps]

    def acting(self) -> dict[str, Action]:
        return {str(change.address): change.action for change in self.plan().acting}


def later(origin: str) -> Unknown:
    return Unknown("string", frozenset({origin}))
