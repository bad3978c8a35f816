"""Two plans compared, and the parts of one: what was not shown, what drifted, what is gone."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change, Plan
from orchestrator.model.observation import Absent, Present, Unreachable
from orchestrator.planning.diff import DELETED_OUTSIDE
from orchestrator.planning.wording import drift_of, drifted_text

# What a unit may need by now, given what was shown for it. A step that began and did not end leaves its unit half
# done, so the same unit may then need less, or the rest of it. To wait for readiness is never a surprise; what
# nobody agreed to is: anything for a unit that was to stay as it is, and taking away what was only to be changed.
_SHOWN_COVERS: dict[Action, frozenset[Action]] = {
    Action.CREATE: frozenset({Action.CREATE, Action.UPDATE, Action.LATER}),
    Action.UPDATE: frozenset({Action.UPDATE, Action.LATER}),
    Action.REPLACE: frozenset({Action.REPLACE, Action.CREATE, Action.UPDATE, Action.LATER}),
    Action.DELETE: frozenset({Action.DELETE, Action.FORGET}),
    Action.ADOPT: frozenset({Action.ADOPT, Action.UPDATE, Action.LATER}),
    Action.LATER: frozenset({Action.LATER, Action.CREATE, Action.UPDATE, Action.ADOPT}),
    Action.FORGET: frozenset({Action.FORGET}),
    Action.WAIT: frozenset(),
    Action.CONFLICT: frozenset(),
    Action.HOLD: frozenset(),
    Action.NONE: frozenset(),
}


def unplanned(shown: Plan, now: Plan) -> list[str]:
    """What the plan as it is now asks for and the plan that was shown does not cover, one line for each unit."""
    before = {change.address: change for change in shown.changes}
    found = []
    for change in now.changes:
        was = before.get(change.address)
        if change.action == Action.CONFLICT:
            surprising = was is None or was.action.acts
        elif not change.action.acts or (change.action == Action.WAIT and was is not None):
            surprising = False
        else:
            surprising = was is None or change.action not in _SHOWN_COVERS[was.action]
        if surprising:
            found.append(_surprise(was, change))
    return found


def drifted(plan: Plan) -> Plan:
    """Only what is not as it was left, what is not ready, and what could not be seen."""
    kept = [part for change in plan.changes if (part := _drift_part(change)) is not None]
    return replace(plan, changes=tuple(kept))


def gone(plan: Plan) -> tuple[Address, ...]:
    """The records that can be dropped: nothing of ours is there any more and nothing is declared."""
    return tuple(
        change.address
        for change in plan.changes
        if change.unit is None and change.action == Action.NONE and change.record is not None
    )


def _surprise(was: Change | None, change: Change) -> str:
    shown = "was not in it" if was is None else f"was {was.action}"
    return f"{change.address} {shown}, is now {change.action} ({change.reason})"


def _drift_part(change: Change) -> Change | None:
    unit, seen = change.unit, change.seen
    if isinstance(seen, Unreachable) or (seen is None and change.action == Action.HOLD):
        return change
    if unit is None:
        return None
    if isinstance(seen, Absent) and change.record is not None and change.record.identity == unit.identity:
        return replace(change, action=Action.CREATE, reason=DELETED_OUTSIDE, drift=True)
    if not isinstance(seen, Present):
        return None
    if differences := drift_of(unit, seen):
        reason = f"drifted: {drifted_text(unit, differences)}"
        return replace(change, action=Action.UPDATE, reason=reason, differences=differences, drift=True)
    return change if change.drift or change.action == Action.WAIT else None
