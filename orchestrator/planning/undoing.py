"""Plans that take away: everything in scope, or our claim on one unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from orchestrator.errors import PlanError
from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change, Plan, Scope, in_order
from orchestrator.model.observation import Observation, Present, Tally, Unreachable
from orchestrator.model.record import Record
from orchestrator.model.unit import Unit
from orchestrator.model.values import masked
from orchestrator.planning.diff import is_ours, unreachable
from orchestrator.planning.removal import (
    refuse_protected,
    taken_away,
    undo_of,
    with_their_machines,
)
from orchestrator.planning.situation import Removable, can_be_removed
from orchestrator.planning.waves import removal_waves


class Seen(Protocol):
    """What one look has told."""

    @property
    def observed(self) -> Mapping[Address, Observation]:
        """What each unit, and each other thing of the estate, looks like."""

    @property
    def records(self) -> Mapping[Address, Record]:
        """What is remembered."""

    @property
    def tally(self) -> Tally:
        """What the look has cost."""


def destroy(plan: Plan, *, removable: Removable = can_be_removed) -> Plan:
    """The plan that removes everything of ours in the scope of a plan, dependants before what they need.

    Raises PlanError where something is protected.
    """
    pairs = [(change, _undone(change, plan.estate_id, removable)) for change in plan.changes]
    refuse_protected(replace(change, action=Action.DELETE) for change, undone in pairs if undone.action != Action.NONE)
    found = with_their_machines({undone.address: undone for _, undone in pairs})
    waves = removal_waves(found, {change.address: change.unit.needs for change in plan.changes if change.unit})
    changes = [replace(change, wave=waves.get(address, 0)) for address, change in found.items()]
    return replace(plan, changes=tuple(in_order(changes)), notes=())


def forgetting(seen: Seen, address: Address, *, estate: str, estate_id: str) -> Plan:
    """The plan that ends our claim on one unit: its stamp and our record go, the thing stays.

    Where it cannot be reached only our record ends. Raises PlanError where nothing of ours is at the address.
    """
    there, record = seen.observed.get(address), seen.records.get(address)
    ours = isinstance(there, Present) and is_ours(there, estate_id)
    if not ours and record is None:
        raise PlanError(f"nothing of ours is at {address}", hint="`orchestrator status` and `plan -o json` show units")
    reason = "let go of: the thing stays as it is"
    if not ours:
        reason = "let go of: only the record ends, the thing cannot be seen or is not ours"
    change = Change(address, Action.FORGET, reason, seen=there, record=record, wave=1)
    scope = Scope(sites=frozenset({address.site}), targets=(str(address),))
    return Plan(estate, estate_id, (change,), scope=scope, tally=seen.tally)


def _undone(change: Change, estate_id: str, removable: Removable) -> Change:
    """What removes one unit; a change without a unit is a removal."""
    seen = change.seen
    if seen is None and change.action == Action.HOLD:
        return replace(change, unit=None)
    base = Change(change.address, Action.NONE, "is not there", seen=seen, record=change.record)
    if isinstance(seen, Unreachable):
        return replace(base, action=Action.HOLD, reason=unreachable(seen))
    if not isinstance(seen, Present):
        return base
    if not is_ours(seen, estate_id):
        return replace(base, reason="is not ours: stays")
    address = seen.stamp.address if seen.stamp is not None else change.address
    spec = undo_of(seen, change.record)
    base = replace(base, address=address)
    if change.unit is not None:
        spec = dict(masked(dict(change.unit.spec)))
        base = replace(base, record=_record(change.unit, change.record, spec))
    return taken_away(base, spec, "destroy", removable)


def _record(unit: Unit, record: Record | None, spec: Mapping[str, Any]) -> Record:
    """What its driver undoes it from: how it is declared now, where it stands."""
    known = {key: spec[key] for key in ("host", "playbook", "remove", "label") if key in spec}
    if record is not None:
        return replace(record, spec={**record.spec, **known})
    return Record(unit.address, "", unit.identity, spec=known, blueprint=unit.blueprint)
