"""What only changes its place: an object that is made in one namespace and deleted in another has moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from orchestrator.model.address import Address, Mode
from orchestrator.model.change import Action, Change
from orchestrator.planning.spreading import Changes

_WITH_DATA = ("PersistentVolumeClaim", "StatefulSet.apps")


def with_moves(ups: Mapping[Address, Change], downs: Mapping[Address, Change]) -> tuple[Changes, Changes]:
    """The same changes, the reasons of both ends of a move saying so."""
    raised, taken = dict(ups), dict(downs)
    leaving: dict[tuple[str, ...], list[Change]] = {}
    for change in downs.values():
        if change.action == Action.DELETE and change.address.mode == Mode.AGILE:
            leaving.setdefault(_thing(change.address), []).append(change)
    for address, change in ups.items():
        found = leaving.get(_thing(address), []) if change.action in (Action.CREATE, Action.LATER) else []
        if len(found) != 1 or not _namespace(address) or address.mode != Mode.AGILE:
            continue
        old = found[0]
        before = _namespace(old.address)
        raised[address] = replace(change, reason=f"{change.reason}: moves here from namespace {before}")
        data = "; its data does not move and is deleted with it" if address.kind in _WITH_DATA else ""
        taken[old.address] = replace(old, reason=f"moves to namespace {_namespace(address)}{data}")
    return raised, taken


def _thing(address: Address) -> tuple[str, ...]:
    """What it is apart from its namespace and the workload that has it."""
    return address.site, address.placement, address.kind, address.name.rpartition("/")[2]


def _namespace(address: Address) -> str:
    return address.name.rpartition("/")[0]
