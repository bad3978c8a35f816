"""What a unit that cannot be done means for the others: a hold spreads only where it must."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

from orchestrator.errors import PlanError
from orchestrator.model.address import CONFIGURATION, MACHINE, Address, WorkloadKey
from orchestrator.model.change import Action, Change, Scope
from orchestrator.model.observation import Absent, Present
from orchestrator.model.unit import Unit
from orchestrator.planning.diff import is_unchanged

Changes = dict[Address, Change]
T = TypeVar("T")

_STOPPED = (Action.HOLD, Action.CONFLICT)


def spread(changes: Mapping[Address, Change], scope: Scope) -> Changes:
    """The changes of all desired units, with holds where a unit cannot or must not go ahead.

    Units out of scope take part: what needs something that is out of scope and not there has to wait for it.
    """
    found = dict(changes)
    by_workload = _Sources(found)
    for address in in_needs_order(found):
        change = found[address]
        if change.action in _STOPPED or change.action == Action.NONE:
            continue
        found[address] = _settled(change, found, scope, by_workload)
    return found


def in_needs_order(changes: Mapping[Address, Change]) -> list[Address]:
    """Every unit after what it needs; PlanError where needs go in a circle."""
    return ordered({a: sorted(n for n in needs_of(c) if n in changes) for a, c in sorted(changes.items())})


def ordered(graph: Mapping[T, Iterable[T]]) -> list[T]:
    """Everything after what it needs; PlanError where needs go in a circle."""
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " → ".join(str(one) for one in error.args[1])
        raise PlanError(f"units need each other in a circle: {circle}", hint="take out one of the references") from None


def needs_of(change: Change) -> frozenset[Address]:
    """The units that come before this one: what it needs, and what its unknown inputs wait for."""
    unit = change.unit
    if unit is None:
        return frozenset()
    if change.action != Action.LATER:
        return unit.needs
    return (unit.needs | {found for text in unit.unknown if (found := _parsed(text))}) - {unit.address}


def _parsed(text: str) -> Address | None:
    try:
        return Address.parse(text)
    except ValueError:
        return None


def machine_of(address: Address) -> Address:
    """The machine that a configuration of a provisioned workload is on."""
    return replace(address, kind=MACHINE)


def on_new_machines(changes: Changes, scope: Scope) -> Changes:
    """What was seen inside a machine that is created or replaced says nothing: its configuration comes anew."""
    found = dict(changes)
    for address, change in changes.items():
        machine = changes.get(machine_of(address)) if address.kind == CONFIGURATION else None
        if machine is None or not _is_new(machine, scope) or change.unit is None:
            continue
        if change.action == Action.CREATE or change.unit.unknown:
            continue
        why = "replaced" if machine.action == Action.REPLACE else "created"
        found[address] = Change(
            address,
            Action.CREATE,
            f"its machine is {why}",
            unit=change.unit,
            seen=Absent(),
            record=change.record,
        )
    return found


def _is_new(machine: Change, scope: Scope) -> bool:
    return machine.action == Action.CREATE or (machine.action == Action.REPLACE and scope.includes(machine.address))


class _Sources:
    """Finds the units that the text of an unknown's origin means: an address, or what an address begins with."""

    def __init__(self, changes: Mapping[Address, Change]) -> None:
        self._texts = {str(address): address for address in changes}

    def of(self, unit: Unit) -> list[Address]:
        """The units that its unknown inputs wait for; what it needs where none is named."""
        found = {address for origin in unit.unknown for address in self._meant(origin)}
        return sorted((found or {a for a in unit.needs if str(a) in self._texts}) - {unit.address})

    def _meant(self, origin: str) -> list[Address]:
        if origin in self._texts:
            return [self._texts[origin]]
        return [address for text, address in self._texts.items() if text.startswith(origin.rstrip("/") + "/")]


def with_conflicts(changes: Changes, scope: Scope) -> Changes:
    """A conflict stops everything else of its workload that would act."""
    conflicts: dict[WorkloadKey, Change] = {}
    for change in changes.values():
        if change.action == Action.CONFLICT and scope.includes(change.address):
            conflicts.setdefault(change.address.workload_key, change)
    found = dict(changes)
    for address, change in changes.items():
        conflict = conflicts.get(address.workload_key)
        if conflict is not None and change.action.acts:
            found[address] = held(change, f"{conflict.address.label} of this workload: {_first(conflict.reason)}")
    return found


def held(change: Change, why: str) -> Change:
    """The same unit, held."""
    return replace(change, action=Action.HOLD, reason=f"held: {why}", drift=False)


def _settled(change: Change, changes: Changes, scope: Scope, sources: _Sources) -> Change:
    """One unit that would act, given what has become of what it needs."""
    unit = change.unit
    if unit is None:
        return change
    machine = changes.get(machine_of(change.address)) if change.address.kind == CONFIGURATION else None
    if machine is not None and change.action == Action.CREATE and (why := _blocks(machine, scope)):
        return held(change, why)
    if is_unchanged(change):
        return change
    for needed in sorted(a for a in unit.needs if a in changes):
        if why := _blocks(changes[needed], scope):
            return held(change, why)
    if change.action != Action.LATER:
        return change
    waits_for = [changes[address] for address in sources.of(unit)]
    for source in waits_for:
        if why := _blocks(source, scope):
            return held(change, why)
    if not any(source.action.acts and scope.includes(source.address) for source in waits_for):
        return held(change, _never_known(unit, waits_for))
    return change


def _blocks(needed: Change, scope: Scope) -> str:
    """Why what needs this unit cannot go ahead; empty if it can."""
    if needed.action in _STOPPED:
        return _root(needed)
    if scope.includes(needed.address) or isinstance(needed.seen, Present):
        return ""
    if needed.action in (Action.CREATE, Action.LATER):
        return f"needs {needed.address}, which is not there and not among what this command is limited to"
    return ""


def _root(needed: Change) -> str:
    """The first cause, told once more for each unit that it holds."""
    reason = needed.reason.removeprefix("held: ")
    if reason.startswith("needs "):
        return reason
    return f"needs {needed.address}: {_first(reason) if needed.action == Action.CONFLICT else reason}"


def _first(reason: str) -> str:
    return reason.split(";", 1)[0]


def _never_known(unit: Unit, waits_for: Sequence[Change]) -> str:
    if not waits_for:
        return "inputs are not known, and no unit would tell them"
    return f"inputs are not known, and {waits_for[0].address} does not tell them as it is"
