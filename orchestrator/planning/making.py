"""Making a plan from what should be, what was seen and what is remembered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from orchestrator.errors import DocumentsError
from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change, Known, Plan, Scope, in_order
from orchestrator.model.observation import Note, Observation, Present
from orchestrator.model.record import Record
from orchestrator.model.unit import Unit
from orchestrator.planning.batches import over_machines, over_sites
from orchestrator.planning.diff import UNSEEN, change_for
from orchestrator.planning.moves import with_moves
from orchestrator.planning.removal import (
    moved_from,
    refuse_protected,
    refuse_vanished,
    removals,
)
from orchestrator.planning.situation import Situation
from orchestrator.planning.spreading import Changes, on_new_machines, spread, with_conflicts
from orchestrator.planning.waves import in_waves

if TYPE_CHECKING:  # a plan can be read and compared without what evaluates expressions
    from orchestrator.desired import Desired


def plan(desired: Desired, situation: Situation) -> Plan:
    """What to do so that everything in scope is as declared; each unit in scope appears once.

    Raises DocumentsError if the documents have errors, PlanError if a protected unit would be taken away or if
    something is left at a site that is no longer declared.
    """
    if errors := [diagnostic for diagnostic in desired.diagnostics if diagnostic.severity == "error"]:
        raise DocumentsError(errors)
    scope, rollouts = situation.scope, situation.rollouts
    ups, downs = _changes(desired, situation)
    refuse_protected(change for address, change in ups.items() if scope.includes(address))
    ordered = in_waves(over_machines(ups, rollouts, scope), downs, scope)
    changes = in_order(over_sites(ordered, rollouts, scope))
    notes = (*desired.notes, *situation.notes, *_version_moves(changes))
    return Plan(
        situation.estate,
        situation.estate_id,
        tuple(changes),
        notes=tuple({note: None for note in notes if _in_scope(note, scope)}),
        scope=scope,
        tally=situation.tally,
        rollouts=dict(rollouts),
    )


def settle(resolve: Callable[[Known], Desired], known: Known, situation: Situation) -> Plan:
    """The plan in which no expression uses what the plan itself makes anew.

    A machine or object that is created or replaced will not be what it was: it is not known until then. Each round
    knows less, so this ends. Raises what `plan` raises.
    """
    while True:
        made = plan(resolve(known), situation)
        anew = {change.address for change in made.changes if change.action in (Action.CREATE, Action.REPLACE)}
        less = Known(
            machines={address: facts for address, facts in known.machines.items() if address not in anew},
            objects={address: facts for address, facts in known.objects.items() if address not in anew},
            hosts=known.hosts,
        )
        if (len(less.machines), len(less.objects)) == (len(known.machines), len(known.objects)):
            return made
        known = less


def _changes(desired: Desired, situation: Situation) -> tuple[Changes, Changes]:
    """What is declared, and what is left of what no longer is; each with what the others mean for it."""
    scope, observed, records = situation.scope, situation.observed, situation.records
    ups = _desired_changes(desired.units, situation)
    declared = {unit.address for unit in desired.units} | moved_from(desired.units, observed, situation.estate_id)
    leaving = {address for address in {*observed, *records} - declared if scope.includes(address)}
    refuse_vanished(leaving, situation.sites)
    downs = removals(situation, desired.units, leaving)
    checked = with_conflicts({**ups, **downs}, scope)
    ups = spread({address: checked[address] for address in ups}, scope)
    return with_moves(ups, {address: checked[address] for address in downs})


def _desired_changes(units: Iterable[Unit], situation: Situation) -> Changes:
    """Each desired unit's change, as far as it can be said without the others."""
    records = situation.records
    found: Changes = {}
    for unit in units:
        seen = situation.observed.get(unit.address)
        if seen is None:
            found[unit.address] = _unseen(unit, records.get(unit.address))
            continue
        found[unit.address] = change_for(
            unit,
            seen,
            _record(unit, seen, records),
            estate_id=situation.estate_id,
            adopting=unit.address in situation.adopting,
            again=situation.scope.asks_again(unit.address),
        )
    return on_new_machines(found, situation.scope)


def _unseen(unit: Unit, record: Record | None) -> Change:
    """Nobody looked: no guess is made."""
    return Change(unit.address, Action.HOLD, UNSEEN, unit=unit, record=record)


def _record(unit: Unit, seen: Observation, records: Mapping[Address, Record]) -> Record | None:
    """What is remembered of the unit, under the address that it bears where it has moved."""
    if unit.address not in records and isinstance(seen, Present) and seen.stamp is not None:
        return records.get(seen.stamp.address)
    return records.get(unit.address)


def _version_moves(changes: Iterable[Change]) -> list[Note]:
    """`webshop 1.4.0 → 1.5.0`, once per placement and site, while nothing there has moved yet."""
    before: dict[tuple[str, str], Counter[str]] = {}
    now: dict[tuple[str, str], str] = {}
    acting: set[tuple[str, str]] = set()
    for change in changes:
        here = (change.address.site, change.address.placement)
        if version := _applied_version(change):
            before.setdefault(here, Counter())[version] += 1
        if change.unit is not None and change.unit.blueprint:
            now[here] = change.unit.blueprint
        if change.action.acts:
            acting.add(here)
    moves = []
    for here in sorted(acting & before.keys() & now.keys()):
        if now[here] not in before[here]:
            moves.append(Note(*here, _moved(before[here].most_common(1)[0][0], now[here])))
    return moves


def _applied_version(change: Change) -> str:
    if isinstance(change.seen, Present) and change.seen.stamp is not None:
        return change.seen.stamp.blueprint
    return change.record.blueprint if change.record is not None else ""


def _moved(before: str, now: str) -> str:
    name, _, version = now.rpartition(" ")
    return f"{before} → {version if name and before.startswith(name + ' ') else now}"


def _in_scope(note: Note, scope: Scope) -> bool:
    in_sites = scope.sites is None or not note.site or note.site in scope.sites
    return in_sites and (scope.placements is None or not note.placement or note.placement in scope.placements)
