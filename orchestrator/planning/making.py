"""Making a plan from what should be, what was seen and what is remembered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from orchestrator.errors import DocumentsError
from orchestrator.model.address import Address, Mode
from orchestrator.model.change import Action, Change, Known, Plan, Scope, in_order
from orchestrator.model.observation import Note, Observation, Present, Tally
from orchestrator.model.record import Record
from orchestrator.model.unit import Unit
from orchestrator.planning.batches import Rollouts, over_machines, over_sites
from orchestrator.planning.diff import UNSEEN, change_for
from orchestrator.planning.moves import with_moves
from orchestrator.planning.removal import (
    Left,
    Removable,
    can_be_removed,
    moved_from,
    refuse_protected,
    refuse_vanished,
    removals,
)
from orchestrator.planning.spreading import Changes, on_new_machines, spread, with_conflicts
from orchestrator.planning.waves import in_waves

if TYPE_CHECKING:  # a plan can be read and compared without what evaluates expressions
    from orchestrator.desired import Desired

NO_COST = Tally()
NO_ROLLOUTS: Rollouts = {}


def plan(
    *,
    estate: str,
    estate_id: str,
    desired: Desired,
    observed: Mapping[Address, Observation],
    records: Mapping[Address, Record],
    scope: Scope,
    sites: Collection[str],
    adopting: frozenset[Address] = frozenset(),
    removable: Removable = can_be_removed,
    answered: Collection[tuple[str, Mode]] | None = None,
    tally: Tally = NO_COST,
    notes: Iterable[Note] = (),
    rollouts: Rollouts = NO_ROLLOUTS,
) -> Plan:
    """What to do so that everything in scope is as declared; each unit in scope appears once.

    `sites` are the declared ones; `adopting` names units that are taken over if they are not ours.
    `removable` says why a configuration that left the documents cannot be undone ("" if it can).
    `answered` has the modes of sites that were looked at (None: all): a record of another one is held, not gone.
    `rollouts` has the placements' policies: which batches their changes are made in.
    Raises DocumentsError if the documents have errors, PlanError if a protected unit would be taken away or if
    something is left at a site that is no longer declared.
    """
    if errors := [diagnostic for diagnostic in desired.diagnostics if diagnostic.severity == "error"]:
        raise DocumentsError(errors)
    ups = _desired_changes(desired.units, observed, records, scope, estate_id, adopting)
    declared = {unit.address for unit in desired.units} | moved_from(desired.units, observed, estate_id)
    leaving = {address for address in {*observed, *records} - declared if scope.includes(address)}
    refuse_vanished(leaving, sites)
    downs = removals(Left(estate_id, observed, records, removable, answered), desired.units, leaving)
    checked = with_conflicts({**ups, **downs}, scope)
    ups = spread({address: checked[address] for address in ups}, scope)
    downs = {address: checked[address] for address in downs}
    ups, downs = with_moves(ups, downs)
    refuse_protected(change for address, change in ups.items() if scope.includes(address))
    ordered = in_waves(over_machines(ups, rollouts, scope), downs, scope)
    changes = in_order(over_sites(ordered, rollouts, scope))
    told = {note: None for note in (*desired.notes, *notes, *_version_moves(changes)) if _in_scope(note, scope)}
    return Plan(estate, estate_id, tuple(changes), notes=tuple(told), scope=scope, tally=tally, rollouts=dict(rollouts))


def settle(
    *,
    resolve: Callable[[Known], Desired],
    known: Known,
    estate: str,
    estate_id: str,
    observed: Mapping[Address, Observation],
    records: Mapping[Address, Record],
    scope: Scope,
    sites: Collection[str],
    adopting: frozenset[Address] = frozenset(),
    removable: Removable = can_be_removed,
    answered: Collection[tuple[str, Mode]] | None = None,
    tally: Tally = NO_COST,
    notes: Iterable[Note] = (),
    rollouts: Rollouts = NO_ROLLOUTS,
) -> Plan:
    """The plan in which no expression uses what the plan itself makes anew.

    A machine or object that is created or replaced will not be what it was: it is not known until then. Each round
    knows less, so this ends. Raises what `plan` raises.
    """
    notes = tuple(notes)
    while True:
        made = plan(
            estate=estate,
            estate_id=estate_id,
            desired=resolve(known),
            observed=observed,
            records=records,
            scope=scope,
            sites=sites,
            adopting=adopting,
            removable=removable,
            answered=answered,
            tally=tally,
            notes=notes,
            rollouts=rollouts,
        )
        anew = {change.address for change in made.changes if change.action in (Action.CREATE, Action.REPLACE)}
        less = Known(
            machines={address: facts for address, facts in known.machines.items() if address not in anew},
            objects={address: facts for address, facts in known.objects.items() if address not in anew},
            hosts=known.hosts,
        )
        if (len(less.machines), len(less.objects)) == (len(known.machines), len(known.objects)):
            return made
        known = less


def _desired_changes(
    units: Iterable[Unit],
    observed: Mapping[Address, Observation],
    records: Mapping[Address, Record],
    scope: Scope,
    estate_id: str,
    adopting: frozenset[Address],
) -> Changes:
    """Each desired unit's change, as far as it can be said without the others."""
    found: Changes = {}
    for unit in units:
        seen = observed.get(unit.address)
        if seen is None:
            found[unit.address] = _unseen(unit, records.get(unit.address))
            continue
        found[unit.address] = change_for(
            unit, seen, _record(unit, seen, records), estate_id=estate_id, adopting=unit.address in adopting
        )
    return on_new_machines(found, scope)


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
