"""What is ours and no longer declared: deleted, let go of, or held; never on a guess."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.errors import PlanError
from orchestrator.model.address import CONFIGURATION, MACHINE, Address, Mode
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Observation, Present, Unreachable
from orchestrator.model.record import Record
from orchestrator.model.unit import Unit
from orchestrator.planning.diff import UNSEEN, is_ours, unreachable
from orchestrator.planning.situation import Removable, Situation
from orchestrator.planning.spreading import Changes, held, machine_of

IS_GONE = "is gone already"


def removals(situation: Situation, units: Collection[Unit], addresses: Iterable[Address]) -> Changes:
    """The changes of addresses that are ours, in scope and not declared.

    Raises PlanError where one of them is protected.
    """
    found = {address: _removal(address, situation, _reason(address, units)) for address in sorted(addresses)}
    refuse_protected(found.values())
    return with_their_machines(found)


def moved_from(units: Iterable[Unit], observed: Mapping[Address, Observation], estate_id: str) -> frozenset[Address]:
    """The addresses under which things stand that are declared under another one by now."""
    found = set()
    for unit in units:
        seen = observed.get(unit.address)
        if isinstance(seen, Present) and seen.stamp and seen.stamp.estate == estate_id:
            found.add(seen.stamp.address)
    return frozenset(found) - {unit.address for unit in units}


def refuse_vanished(addresses: Iterable[Address], sites: Collection[str]) -> None:
    """Raises PlanError where things are left at a site that is no longer declared."""
    left: dict[str, int] = {}
    for address in addresses:
        if address.site not in sites:
            left[address.site] = left.get(address.site, 0) + 1
    if not left:
        return
    what = ", ".join(f"{site} ({count} {'unit' if count == 1 else 'units'})" for site, count in sorted(left.items()))
    name = min(left)
    raise PlanError(
        f"no Site document declares {what} any more, and what was applied there is still recorded",
        hint=f"put the document back; or clean up: orchestrator destroy --site name={name}; or let go of each unit: "
        "orchestrator forget ADDRESS",
    )


def refuse_protected(changes: Iterable[Change]) -> None:
    """Raises PlanError where a protected unit would be taken away, naming where its protection was declared."""
    refused = [(change, where) for change in changes if _takes_away(change) and (where := _protection(change))]
    if not refused:
        return
    lines = [f"{change.address} is protected ({where}) and would be {_fate(change)}" for change, where in refused]
    raise PlanError(
        "; ".join(lines[:5]) + (f"; and {len(lines) - 5} more" if len(lines) > 5 else ""),
        hint="put it back as it was; or take `protect: true` away, apply, and remove it then",
    )


def taken_away(change: Change, spec: Mapping[str, Any], reason: str, removable: Removable) -> Change:
    """The deletion of what is there and ours; a configuration that cannot be undone is let go of."""
    if change.address.kind == CONFIGURATION and (why := removable(spec)):
        return replace(change, action=Action.FORGET, reason=f"{reason}: stays on the host, {why}")
    return replace(change, action=Action.DELETE, reason=reason)


def undo_of(seen: Present, record: Record | None) -> dict[str, Any]:
    """What is known of how to undo a configuration: what lies on the host, and over it what we remember."""
    remembered = record.spec if record is not None else {}
    return {**seen.facts, **{key: value for key, value in remembered.items() if value}}


def with_their_machines(changes: Changes) -> Changes:
    """Configurations that go with their machine, and machines that have to wait for a configuration that is held."""
    found = dict(changes)
    for address, change in changes.items():
        machine = found.get(machine_of(address)) if address.kind == CONFIGURATION else None
        if machine is None:
            continue
        if machine.reason == IS_GONE:
            found[address] = replace(change, action=Action.NONE, reason=IS_GONE)
        elif machine.action != Action.DELETE:
            continue
        elif change.action == Action.HOLD:
            found[machine.address] = held(machine, f"needs {address}: {change.reason.removeprefix('held: ')}")
        elif change.action == Action.FORGET:
            found[address] = replace(change, reason=f"{change.reason.split(':')[0]}: goes with its machine")
    return found


def _removal(address: Address, situation: Situation, reason: str) -> Change:
    seen, record = situation.observed.get(address), situation.records.get(address)
    base = Change(address, Action.NONE, IS_GONE, seen=seen, record=record)
    if isinstance(seen, Unreachable):
        return replace(base, action=Action.HOLD, reason=unreachable(seen))
    if seen is None and situation.answered is not None and (address.site, address.mode) not in situation.answered:
        return replace(base, action=Action.HOLD, reason=UNSEEN)
    if not isinstance(seen, Present):
        return base
    if not is_ours(seen, situation.estate_id):
        return replace(base, reason="is not ours any more")
    if seen.stamp is not None and seen.stamp.address != address:
        return replace(base, reason=f"bears another address by now: {seen.stamp.address}")
    return taken_away(base, undo_of(seen, record), reason, situation.removable)


def _reason(address: Address, units: Collection[Unit]) -> str:
    here = {(unit.address.site, unit.address.placement) for unit in units}
    if (address.site, address.placement) in here:
        return "removed from the blueprint"
    return f"placement {address.placement} is no longer at {address.site}"


def _takes_away(change: Change) -> bool:
    if change.action == Action.HOLD:
        return change.unit is None
    return change.action in (Action.DELETE, Action.REPLACE) or (change.action == Action.FORGET and change.unit is None)


def _protection(change: Change) -> str:
    if change.unit is not None:
        return str(change.unit.protected) if change.unit.protected else ""
    if change.record is not None:
        return change.record.protected
    stamp = change.seen.stamp if isinstance(change.seen, Present) else None
    return stamp.protected if stamp else ""  # every record may be lost


def _fate(change: Change) -> str:
    if change.action == Action.REPLACE:
        return f"replaced ({change.reason})"
    if change.action == Action.FORGET:
        return "let go of"
    return "deleted" if change.address.mode == Mode.AGILE or change.address.kind == MACHINE else "removed"
