"""`drift --deep`: Ansible's check mode for tasks that the probe cannot verify, the engine's refresh for programs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.cli.session import Session
from orchestrator.model.address import CONFIGURATION, PROGRAM, Address, Mode
from orchestrator.model.change import Action, Change, Plan
from orchestrator.model.observation import Coverage, Difference, Present, Unreachable
from orchestrator.model.unit import Unit

if TYPE_CHECKING:
    from orchestrator.modes.agile.programs.targets import Drift
    from orchestrator.modes.stable.configuration import Checked


def checked(it: Session, plan: Plan) -> Plan:
    """The plan with what a closer look finds in what is as applied otherwise."""
    from orchestrator.modes.agile.driver import AgileDriver
    from orchestrator.modes.stable.driver import StableDriver

    tasks: dict[Address, Checked] = {}
    for site, units in _asked(plan, _is_asked).items():
        driver = it.world.drivers[site, Mode.STABLE]
        assert isinstance(driver, StableDriver)
        tasks |= driver.check(units)
    resources: dict[Address, Drift] = {}
    for site, units in _asked(plan, _is_program).items():
        programs = it.world.drivers[site, Mode.AGILE]
        assert isinstance(programs, AgileDriver)
        resources |= programs.drift(units)
    changes = [_told(change, tasks.get(change.address), resources.get(change.address)) for change in plan.changes]
    return replace(plan, changes=tuple(changes))


def _asked(plan: Plan, asks: Callable[[Change], bool]) -> dict[str, list[Unit]]:
    units: dict[str, list[Unit]] = defaultdict(list)
    for change in plan.changes:
        if change.unit is not None and asks(change):
            units[change.address.site].append(change.unit)
    return units


def _told(change: Change, tasks: Checked | None, resources: Drift | None) -> Change:
    if tasks is not None:
        return _with(change, tasks)
    return change if resources is None else _refreshed(change, resources)


def _is_program(change: Change) -> bool:
    return change.address.kind == PROGRAM and change.action == Action.NONE and isinstance(change.seen, Present)


def _refreshed(change: Change, found: Drift) -> Change:
    """With what the providers say; where they could not be asked nobody knows."""
    seen = change.seen
    assert isinstance(seen, Present)
    if found.failed:
        unseen = Unreachable(found.failed, cause=found.failed, seen_at=seen.seen_at, what="refresh failed")
        return replace(change, seen=unseen, action=Action.HOLD, reason=f"held: refresh failed ({found.failed})")
    total = seen.coverage.total if seen.coverage else 0
    seen = replace(seen, coverage=Coverage(total, total), differences=found.differences)
    if not found.differences:
        return replace(change, seen=seen)
    return replace(change, seen=seen, differences=seen.differences, action=Action.UPDATE, drift=True)


def _is_asked(change: Change) -> bool:
    seen = change.seen
    as_applied = change.action in (Action.NONE, Action.WAIT) or change.drift
    if change.address.kind != CONFIGURATION or not isinstance(seen, Present) or not as_applied:
        return False
    return bool(seen.coverage and seen.coverage.unverified and seen.stamp)


def _with(change: Change, told: Checked) -> Change:
    assert isinstance(change.seen, Present)
    assert change.seen.coverage is not None
    names = set(change.seen.coverage.unverified)
    found = [Difference(f"check mode: {task} ({where})") for task, where in told.tasks if task in names]
    if told.failed:
        found.append(Difference(f"check mode broke off: {told.failed}"))
    if not found:
        return change
    seen = replace(change.seen, differences=(*change.seen.differences, *found))
    return replace(change, seen=seen, differences=seen.differences, action=Action.UPDATE, drift=True)
