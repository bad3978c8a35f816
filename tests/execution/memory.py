"""A target in memory behind the Driver port, a store that only remembers, and a world around both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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

    def apply(self, changes: Sequence[Change], report: Report) -> Iterator[Outcome]:
        for change in changes:
            with self.lock:
                if self.dies_after is not None and len(self.steps) >= self.dies_after:
                    raise Killed
                self.steps.append((str(change.action), str(change.address)))
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
        self.known: dict[Address, Record] = {}
        self.verdict = ""

    def begin_run(self, kind: str, plan: Plan, holder: str) -> int:
        return 1

    def end_run(self, run: int, result: str, counts: Mapping[str, int]) -> None:
        self.verdict = result

    @contextmanager
    def together(self) -> Iterator[None]:
        yield

    def intend(self, run: int, change: Change, lease: Lease) -> Address:
        self.lines.append(("intend", str(change.address)))
        self.reasons[str(change.address)] = change.reason
        return change.address

    def finish(self, step: Address, outcome: Outcome, lease: Lease) -> None:
        self.lines.append((str(outcome.result), str(step)))

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
        self.backs: list[tuple[str, int, str]] = []

    def progress(self, progress: Progress) -> None:
        self.words.setdefault(str(progress.address), []).append(progress.text)

    def outcome(self, change: Change, outcome: Outcome) -> None:
        self.outcomes[str(change.address)] = outcome

    def stopped(self, site: str, why: str) -> None:
        self.stops[site] = why

    def rolled_back(self, workload: WorkloadKey, run: int, text: str) -> None:
        self.backs.append((str(workload), run, text))


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
        return planning.plan(
            estate="e",
            estate_id=ESTATE,
            desired=cast(Any, SimpleNamespace(units=wanted, notes=(), diagnostics=())),
            observed=observed,
            records=self.store.known,
            scope=scope or Scope(),
            sites=self.world.sites,
            rollouts=self.rollouts,
        )

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
