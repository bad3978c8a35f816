"""Snapshot → change → restore: machines are kept before a batch, and given back where it failed.

What was kept is read from the journal: the last of a machine's steps `snapshot`, `restore`, `drop snapshot`. Each is
written down before it is taken, so a run that goes on after another finds what that has left, under the same name.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from orchestrator.errors import PlanError
from orchestrator.execution.world import World
from orchestrator.model.address import MACHINE, Address, Mode, WorkloadKey
from orchestrator.model.change import Action, Change, Plan
from orchestrator.model.history import SNAPSHOT_STEPS
from orchestrator.model.observation import Note
from orchestrator.model.outcome import Lease, Outcome, Result
from orchestrator.model.rollout import Rollout

TAKE, RESTORE, DROP = SNAPSHOT_STEPS
_NEW = (Action.CREATE, Action.REPLACE, Action.LATER)
_WENT_WRONG = (Result.FAILED, Result.UNREACHABLE)

Tell = Callable[[WorkloadKey, str, bool], None]
"""Told the workload, a text, and whether it went well."""


def machine_of(address: Address) -> Address:
    """The machine that a unit is, or is on."""
    return replace(address, kind=MACHINE)


def name_of(estate_id: str, workload: WorkloadKey) -> str:
    """The name of a workload's snapshots: the same in every run."""
    return f"orchestrator-{hashlib.sha256(f'{estate_id}/{workload}'.encode()).hexdigest()[:12]}"


def refuse_without_snapshots(plan: Plan, world: World) -> None:
    """Raises PlanError where machines are to be kept before a change and their provider cannot."""
    asked: dict[tuple[str, str], Rollout] = {}
    for change in plan.acting:
        a = change.address
        rollout = _rollout(plan, a)
        if rollout is not None and change.unit is not None:
            asked.setdefault((a.site, a.placement), rollout)
    for (site, placement), rollout in sorted(asked.items(), key=lambda item: item[0]):
        if why := world.drivers[site, Mode.STABLE].why_no_snapshots():
            raise PlanError(
                f"{placement} wants a snapshot of each machine before it is changed ({rollout.source}), and at {site} "
                f"there can be none: {why}",
                hint="leave `snapshot` out, or place what runs there by a placement of its own",
            )


def is_being_restored(state: tuple[str, str]) -> bool:
    """Whether a machine may be half given back."""
    return state[0] == RESTORE and state[1] != Result.DONE


def notes(plan: Plan, world: World) -> list[Note]:
    """What a run will do first, or goes on with, as an earlier one has left snapshots."""
    busy = {machine_of(change.address) for change in plan.acting}
    found = []
    for site in sorted({c.address.site for c in plan.changes if _rollout(plan, c.address) is not None}):
        for machine, state in world.store.snapshots(site).items():
            if _member(plan, machine) is None:
                continue
            text = f"{machine.label}: a snapshot that an earlier run has left is dropped"
            if is_being_restored(state):
                text = f"{machine.label}: first given back as it was, as an earlier run had begun to"
            elif state[0] == TAKE and machine in busy:
                text = f"{machine.label}: the snapshot from before an earlier run's change stands for this one"
            found.append(Note(site, machine.placement, text))
    return found


def unfinished(plan: Plan, world: World) -> dict[str, list[str]]:
    """Machines whose snapshots an earlier run has left and that no change of this plan goes on with, by site."""
    busy = {machine_of(change.address) for change in plan.acting}
    found: dict[str, list[str]] = {}
    for site in sorted({c.address.site for c in plan.changes if _rollout(plan, c.address) is not None}):
        kept = [machine for machine in world.store.snapshots(site) if machine not in busy and _member(plan, machine)]
        if kept:
            found[site] = [machine.name for machine in kept]
    return found


def _rollout(plan: Plan, address: Address) -> Rollout | None:
    """The policy of a stable unit whose machine is to be kept."""
    rollout = plan.rollouts.get((address.placement, Mode.STABLE)) if address.mode == Mode.STABLE else None
    return rollout if rollout is not None and rollout.snapshot else None


def _not_started(plan: Plan, failed: Outcome) -> str:
    """What is said of a machine that could not be kept, and is left as it is."""
    rollout = _rollout(plan, failed.address)
    where = f" ({rollout.source})" if rollout is not None else ""
    hint = f"apply again once one can be taken, or leave `snapshot` out{where}"
    return f"not started, as its snapshot failed: {failed.message}; {hint}"


def _member(plan: Plan, machine: Address) -> Change | None:
    """A change (of whatever action) of a unit on a machine, by which its driver knows it."""
    mine = [c for c in plan.changes if machine_of(c.address) == machine and c.unit is not None]
    return min(mine, key=lambda change: change.address.kind != MACHINE, default=None)


class Snapshots:
    """One site's snapshots in one run."""

    def __init__(self, world: World, shown: Plan, run: int, lease: Lease, tell: Tell) -> None:
        self._world = world
        self._run = run
        self._lease = lease
        self._tell = tell
        self._estate_id = shown.estate_id
        self._new = {machine_of(c.address) for c in shown.changes if c.address.kind == MACHINE and c.action in _NEW}
        self._waves = {change.address: change.wave for change in shown.changes}
        self._lock = threading.Lock()
        self._states = (
            {}
            if Mode.STABLE not in {c.address.mode for c in shown.changes}
            else dict(world.store.snapshots(lease.site))
        )

    @property
    def left_by_others(self) -> bool:
        """Whether an earlier run has left any."""
        return bool(self._states)

    def finish_earlier(self, now: Plan) -> None:
        """End what an earlier run has begun to end, and drop what nothing needs any more."""
        restoring = [m for m, state in self._states.items() if is_being_restored(state)]
        self._restore(now, restoring, "as an earlier run had begun to")
        restored = [m for m, state in self._states.items() if state == (RESTORE, Result.DONE)]
        dropping = [m for m, (step, _) in self._states.items() if step == DROP]
        acting = {machine_of(change.address) for change in now.changes if change.action != Action.NONE}
        over = [m for m, (step, _) in self._states.items() if step == TAKE and m not in acting]
        self._all(now, [*restored, *dropping, *over], DROP)

    def before(self, now: Plan, changes: Sequence[Change]) -> dict[Address, Outcome]:
        """Keep the machines of a wave that are to be kept -> the changes that may not be made, as that went wrong."""
        wanted = {machine_of(c.address) for c in changes if self._is_kept_before(now, c)}
        failed = self._all(now, sorted(wanted), TAKE)
        return {
            c.address: replace(failed[machine], address=c.address, message=_not_started(now, failed[machine]))
            for c in changes
            if (machine := machine_of(c.address)) in failed
        }

    def after(self, now: Plan, left: Iterable[Change], outcomes: Mapping[Address, Outcome]) -> None:
        """Of the machines that nothing is left to do on: drop the snapshot, or give back what went wrong."""
        busy = {machine_of(change.address) for change in left}
        results: dict[Address, set[Result]] = {}
        for address, outcome in dict(outcomes).items():
            results.setdefault(machine_of(address), set()).add(outcome.result)
        kept = [
            m for m, state in self._states.items() if state == (TAKE, Result.DONE) and m in results and m not in busy
        ]
        wrong = [m for m in kept if results[m] & set(_WENT_WRONG)]
        back = [m for m in wrong if (rollout := _rollout(now, m)) and rollout.on_failure == "restore"]
        for machine in set(wrong) - set(back):
            name = name_of(self._estate_id, machine.workload_key)
            self._tell(machine.workload_key, f"snapshot {name} of {machine.label} from before the change is kept", True)
        self._restore(now, back, "as it was before the change")
        restored = [m for m in back if self._states[m] == (RESTORE, Result.DONE)]
        self._all(now, [*(m for m in kept if results[m] == {Result.DONE}), *restored], DROP)

    def _is_kept_before(self, now: Plan, change: Change) -> bool:
        machine = machine_of(change.address)
        if change.unit is None or _rollout(now, change.address) is None or machine in self._new:
            return False
        return self._states.get(machine) != (TAKE, Result.DONE) and change.action != Action.WAIT

    def _restore(self, now: Plan, machines: Sequence[Address], why: str) -> None:
        failed = self._all(now, machines, RESTORE)
        for machine in machines:
            text = f"{machine.label} was given back {why}"
            if machine in failed:
                text = f"{machine.label} could not be given back: {failed[machine].message}; the next apply tries again"
            self._tell(machine.workload_key, text, machine not in failed)

    def _all(self, now: Plan, machines: Sequence[Address], step: str) -> dict[Address, Outcome]:
        """One step for these machines, a workload at a time -> those that it failed for."""
        failed: dict[Address, Outcome] = {}
        for key in sorted({machine.workload_key for machine in machines}):
            mine = {m: member for m in machines if m.workload_key == key and (member := _member(now, m))}
            failed |= self._step(key, mine, step) if mine else {}
        return failed

    def _step(self, key: WorkloadKey, members: Mapping[Address, Change], step: str) -> dict[Address, Outcome]:
        """Intent, then action, then what became of it."""
        driver, store = self._world.drivers[key.site, Mode.STABLE], self._world.store
        act = {TAKE: driver.snapshot, RESTORE: driver.restore, DROP: driver.drop_snapshot}[step]
        name = name_of(self._estate_id, key)
        asked = {
            machine: replace(c, address=machine, reason=name, wave=self._waves.get(c.address, c.wave))
            for machine, c in members.items()
        }
        with store.together():
            steps = {m: store.intend(self._run, change, self._lease, step=step) for m, change in asked.items()}
        by_address = {change.address: machine for machine, change in members.items()}
        failed = {m: Outcome(m, Result.INTERRUPTED, "it was broken off") for m in members}
        for outcome in act(list(members.values()), name):
            machine = by_address[outcome.address]
            store.finish(steps[machine], outcome, self._lease)
            with self._lock:
                self._states[machine] = (step, outcome.result)
            if outcome.result == Result.DONE:
                del failed[machine]
                if step == DROP:
                    del self._states[machine]
            else:
                failed[machine] = outcome
        return failed
