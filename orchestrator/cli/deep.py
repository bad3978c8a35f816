"""`drift --deep`: Ansible's check mode for the tasks that the probe cannot verify."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.cli.session import Session
from orchestrator.model.address import CONFIGURATION, Address, Mode
from orchestrator.model.change import Action, Change, Plan
from orchestrator.model.observation import Difference, Present
from orchestrator.model.unit import Unit

if TYPE_CHECKING:
    from orchestrator.modes.stable.configuration import Checked


def checked(it: Session, plan: Plan) -> Plan:
    """The plan with what check mode would change: only tasks that are not verified otherwise are told."""
    from orchestrator.modes.stable.driver import StableDriver

    units: dict[str, list[Unit]] = defaultdict(list)
    for change in plan.changes:
        if _is_asked(change) and change.unit is not None:
            units[change.address.site].append(change.unit)
    found: dict[Address, Checked] = {}
    for site, asked in units.items():
        driver = it.world.drivers[site, Mode.STABLE]
        assert isinstance(driver, StableDriver)
        found |= driver.check(asked)
    changes = [_with(change, found[change.address]) if change.address in found else change for change in plan.changes]
    return replace(plan, changes=tuple(changes))


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
