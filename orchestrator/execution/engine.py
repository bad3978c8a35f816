"""Running a plan: one thread per site, its waves one after the other, the workloads of a wave side by side.

Before each wave the site is seen and planned again with what is known by then. What that asks for beyond the plan
that was shown is not done: the site stops there and says so.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Protocol

from orchestrator import planning
from orchestrator.execution.gates import SiteGates, toll_of_machines
from orchestrator.execution.leases import held_leases
from orchestrator.execution.memory import remember
from orchestrator.execution.reverting import Revert, no_revert, to_revert
from orchestrator.execution.revisions import keep_revisions
from orchestrator.execution.snapshots import Snapshots, unfinished
from orchestrator.execution.stop import Stop
from orchestrator.execution.world import World
from orchestrator.model.address import Address, Mode, WorkloadKey
from orchestrator.model.change import Action, Change, Plan, Scope
from orchestrator.model.observation import Present, Tally
from orchestrator.model.outcome import Lease, Outcome, Progress, Result
from orchestrator.planning.waves import all_needs

Planner = Callable[[Scope], Plan]
"""Sees and plans again, limited to a scope; the engine calls it once before each wave of each site."""

Settle = Callable[[Change, Outcome], None]


class Watcher(Protocol):
    """Who is told while a run goes on; calls come from several threads."""

    def progress(self, progress: Progress) -> None:
        """A word about a step that is under way."""

    def outcome(self, change: Change, outcome: Outcome) -> None:
        """A step has ended."""

    def stopped(self, site: str, why: str) -> None:
        """Nothing more is started at a site."""

    def went_back(self, workload: WorkloadKey, text: str, well: bool) -> None:
        """What failed goes back, or is back, to how it was; or that went wrong."""


@dataclass
class RunResult:
    """What became of a run: outcomes by address, sites that were stopped and why, and what it cost."""

    run: int
    outcomes: dict[Address, Outcome] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    def counts(self) -> dict[Result, int]:
        """How many steps ended which way."""
        return dict(Counter(outcome.result for outcome in self.outcomes.values()))

    def failed(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.stopped) or any(
            o.result in (Result.FAILED, Result.INTERRUPTED) for o in self.outcomes.values()
        )


def execute(
    world: World,
    shown: Plan,
    planner: Planner,
    watcher: Watcher,
    *,
    kind: str,
    stop: Stop,
    revert: Revert = no_revert,
) -> RunResult:
    """Make the changes of a plan that was shown; `revert` is asked for workloads that are to go back where they fail.

    Raises LeaseHeldError, before anything is changed, where somebody else is applying to one of its sites.
    """
    sites = sorted({change.address.site for change in shown.acting} | set(unfinished(shown, world)))
    run = world.store.begin_run(kind, shown, world.holder)
    result = RunResult(run)
    try:
        with held_leases(world, sites, run) as leases:
            gates = SiteGates(shown)
            site_runs = [
                _SiteRun(world, shown, planner, watcher, leases[site], stop, result, gates, revert) for site in sites
            ]
            # In order of their names, in which batches are made: a site waits only for some that began before it.
            with ThreadPoolExecutor(max_workers=max(1, min(world.parallel, len(sites)))) as pool, _ended_at_once(world):
                for done in [pool.submit(site_run.go) for site_run in site_runs]:
                    done.result()
    except BaseException as error:
        _end(world, result, "interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    result.tally = sum((driver.spent() for driver in world.drivers.values()), Tally())
    keep_revisions(world, shown, result.outcomes, run)
    _end(world, result, _verdict(result, stop))
    return result


@contextmanager
def _ended_at_once(world: World) -> Iterator[None]:
    """Asked a second time to stop, nothing is waited for: drivers end what they run, and their threads follow."""
    try:
        yield
    except KeyboardInterrupt:
        for driver in world.drivers.values():
            driver.close()
        raise


def _end(world: World, result: RunResult, verdict: str) -> None:
    world.store.end_run(result.run, verdict, {str(k): n for k, n in result.counts().items()})


def _verdict(result: RunResult, stop: Stop) -> str:
    if stop.asked:
        return "interrupted"
    return "failed" if result.failed() else "done"


class _SiteRun:
    """One site's part of a run; `_settle` is what several workloads' threads share."""

    def __init__(
        self,
        world: World,
        shown: Plan,
        planner: Planner,
        watcher: Watcher,
        lease: Lease,
        stop: Stop,
        result: RunResult,
        gates: SiteGates,
        revert: Revert,
    ) -> None:
        self.world = world
        self.site = lease.site
        self.shown = replace(shown, changes=tuple(c for c in shown.changes if c.address.site == lease.site))
        self.planner = planner
        self.watcher = watcher
        self.lease = lease
        self.stop = stop
        self.result = result
        self.gates = gates
        self.revert = revert
        self.waves = {change.address: change.wave for change in self.shown.changes}
        self.reverted: dict[WorkloadKey, int] = {}
        self.snapshots = Snapshots(world, self.shown, result.run, lease, watcher.went_back)
        self.attempted: set[Address] = set()
        self.lock = threading.Lock()

    def go(self) -> None:
        """Wave after wave, until nothing is left or something forbids going on."""
        try:
            self._go()
        finally:
            left = [change for change in self.shown.acting if change.address not in self.attempted]
            self.gates.end(self.site, self.result.outcomes, left=left, broken=True)

    def _go(self) -> None:
        scope = replace(self.shown.scope, sites=frozenset({self.site}))
        if self.snapshots.left_by_others:
            self.snapshots.finish_earlier(self.planner(scope))
        self._prepare()
        while not self.stop.asked:
            now = self.planner(scope)
            if surprises := planning.unplanned(self.shown, now):
                self._stop_here(surprises)
                return
            self._hold_what_is_gone_from_sight(now)
            wave = self._next_wave(now)
            self._run_wave(self._kept_before(now, wave))
            self.snapshots.after(now, self._left(now), self.result.outcomes)
            for workload in to_revert(now, wave, self.result.outcomes):
                self._go_back(workload)
            left = self._left(now)
            self.gates.end(self.site, self.result.outcomes, left=left, broken=False)
            if not left:
                return
            if not wave and not self._wait_for_others(left):
                return

    def _prepare(self) -> None:
        """Have the drivers load what the first wave needs, while the site is seen again."""
        soon = [change for change in self.shown.acting if not self.gates.waits(change)]
        first = min((change.wave for change in soon), default=0)
        for mode in Mode:
            changes = [change for change in soon if change.wave == first and change.address.mode == mode]
            if changes and (driver := self.world.drivers.get((self.site, mode))):
                driver.prepare(changes)

    def _wait_for_others(self, left: Sequence[Change]) -> bool:
        """Wait for sites of earlier batches; False where nothing here waits for one."""
        waiting = [change for change in left if self.gates.waits(change)]
        while not self.stop.asked and waiting and all(self.gates.waits(change) for change in waiting):
            self.gates.wait()
        return bool(waiting)

    def _hold_what_is_gone_from_sight(self, now: Plan) -> None:
        """What was to be done when the plan was shown, and cannot be any more."""
        due = {change.address for change in self.shown.acting} - self.attempted
        for change in now.changes:
            if change.action == Action.HOLD and change.address in due:
                self._settle(change, Outcome(change.address, Result.HELD, change.reason))

    def _stop_here(self, surprises: Sequence[str]) -> None:
        why = "the plan has changed since it was shown: " + "; ".join(surprises[:3]) + "; plan and apply again"
        self.result.stopped[self.site] = why
        self.watcher.stopped(self.site, why)

    def _left(self, now: Plan) -> list[Change]:
        return [change for change in now.acting if change.address not in self.attempted]

    def _next_wave(self, now: Plan) -> list[Change]:
        """The first wave's changes that nothing forbids; those that are forbidden are settled as held."""
        left = self._may_begin(now)
        while left:
            first = min(change.wave for change in left)
            wave = [change for change in left if change.wave == first]
            ready = [change for change in wave if not self._forbidden(change, now)]
            if ready:
                return ready
            left = self._may_begin(now)
        return []

    def _kept_before(self, now: Plan, wave: Sequence[Change]) -> list[Change]:
        """The wave without what may not be changed, as its machine could not be kept before."""
        refused = self.snapshots.before(now, wave)
        for change in wave:
            if change.address in refused:
                self._settle(change, refused[change.address])
        return [change for change in wave if change.address not in refused]

    def _go_back(self, workload: WorkloadKey) -> None:
        """Make a workload as its last good revision wants it, what the failed one has made more taken away again."""
        back = self.revert(workload) if not self.stop.asked else "asked to stop"
        if isinstance(back, str):
            self.watcher.went_back(workload, f"not rolled back: {back}", False)
            return
        self.reverted[workload] = back.run
        self.watcher.went_back(workload, f"rolling back to run {back.run}", True)
        scope = Scope(sites=frozenset({self.site}), targets=(str(workload),))
        tried: dict[Address, Result] = {}

        def settled(change: Change, outcome: Outcome) -> None:
            tried[change.address] = outcome.result
            self.watcher.outcome(change, outcome)

        while left := [c for c in back.planner(scope).acting if c.address not in tried]:
            first = min(change.wave for change in left)
            wave = [replace(c, reason=f"back to run {back.run}: {c.reason}") for c in left if c.wave == first]
            self._run_group(wave, settled)
            if set(tried.values()) != {Result.DONE}:
                self.watcher.went_back(workload, f"could not be rolled back whole to run {back.run}", False)
                return
        self.watcher.went_back(workload, f"is back at run {back.run}", True)

    def _may_begin(self, now: Plan) -> list[Change]:
        """What is left, without what waits for sites of an earlier batch and what needs that."""
        left = self._left(now)
        waiting = {change.address for change in left if self.gates.waits(change)}
        if not waiting:
            return left
        placements = {address.placement for address in waiting}
        needs = {c.address: c.unit.needs for c in now.changes if c.unit}

        def waits(change: Change) -> bool:
            if change.unit is None:  # removals come last
                return change.address.placement in placements
            return change.address in waiting or bool(all_needs(change.address, needs) & waiting)

        return [change for change in left if not waits(change)]

    def _forbidden(self, change: Change, now: Plan) -> bool:
        if (failed := self._what_failed(change, now)) is not None:
            why = f"not started: {failed.label} is not done"
        elif run := self.reverted.get(change.address.workload_key):
            why = f"not started: its workload was rolled back to run {run}"
        elif closed := self.gates.why_closed(change) or self._too_many_failed(change, now):
            why = closed
        elif change.action == Action.LATER:
            why = "not started: its inputs are still not known"
        else:
            return False
        self._settle(change, Outcome(change.address, Result.HELD, why))
        return True

    def _too_many_failed(self, change: Change, now: Plan) -> str:
        """Why no more machines of a workload are changed; "" where they are."""
        key = change.address.workload_key
        rollout = now.rollouts.get((key.placement, Mode.STABLE))
        if rollout is None or key.mode != Mode.STABLE or change.unit is None:
            return ""
        toll = toll_of_machines(self.result.outcomes, key)
        total = len({c.address.name for c in now.changes if c.address.workload_key == key})
        return toll.why_closed(rollout, total, "machines")

    def _what_failed(self, change: Change, now: Plan) -> Address | None:
        """A unit that was tried in vain and that this one needs; for a deletion: any of the same placement."""
        vain = {a for a, o in self.result.outcomes.items() if a.site == self.site and o.result != Result.DONE}
        if not vain:  # as nearly always: nothing is gathered for each of a thousand changes
            return None
        if change.unit is None:
            return next((a for a in sorted(vain) if a.placement == change.address.placement), None)
        needs = {c.address: c.unit.needs for c in now.changes if c.unit}
        return next((a for a in all_needs(change.address, needs) if a in vain), None)

    def _run_wave(self, wave: Sequence[Change]) -> None:
        if not wave:
            return
        groups = _by_workload(wave)
        with ThreadPoolExecutor(max_workers=max(1, min(self.world.parallel, len(groups)))) as pool:
            for done in [pool.submit(self._run_group, changes) for changes in groups]:
                done.result()

    def _run_group(self, changes: Sequence[Change], settle: Settle | None = None) -> None:
        """One workload's changes of one wave through its driver: intent, then action, then what became of it."""
        store, settle = self.world.store, settle or self._settle
        with store.together():
            steps = {c.address: store.intend(self.result.run, self._as_shown(c), self.lease) for c in changes}
        by_address = {change.address: change for change in changes}
        for outcome in self._outcomes(changes):
            change = by_address.pop(outcome.address)
            with store.together():
                remember(self.world, change, outcome, self.result.run, self.lease)
                store.finish(steps[change.address], outcome, self.lease)
            settle(change, outcome)
        for address, change in by_address.items():
            lost = Outcome(address, Result.INTERRUPTED, "the driver ended before this step did")
            store.finish(steps[address], lost, self.lease)
            settle(change, lost)

    def _as_shown(self, change: Change) -> Change:
        """With the wave that a person has seen: each plan that is made again counts what is left from one."""
        return replace(change, reason=change.why, wave=self.waves.get(change.address, change.wave))

    def _outcomes(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        """The driver's; of what is only forgotten and is not to be seen, our record is all there is."""
        only_records = [c for c in changes if c.action == Action.FORGET and not isinstance(c.seen, Present)]
        yield from (Outcome(change.address, Result.DONE) for change in only_records)
        if targets := [change for change in changes if change not in only_records]:
            driver = self.world.drivers[self.site, targets[0].address.mode]
            batches = {change.address: change.batch for change in targets if change.batch is not None}

            def report(progress: Progress) -> None:
                batch = batches.get(progress.address)
                self.watcher.progress(replace(progress, text=f"{batch}: {progress.text}") if batch else progress)

            yield from driver.apply(targets, report)

    def _settle(self, change: Change, outcome: Outcome) -> None:
        with self.lock:
            self.attempted.add(change.address)
            self.result.outcomes[change.address] = outcome
        self.watcher.outcome(change, outcome)


def _by_workload(changes: Iterable[Change]) -> list[list[Change]]:
    def key(change: Change) -> WorkloadKey:
        return change.address.workload_key

    return [list(group) for _, group in groupby(sorted(changes, key=key), key=key)]
