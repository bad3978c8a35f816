"""The order of a plan: what a unit needs comes in an earlier wave; what is taken away comes last, in reverse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter

from orchestrator.model.address import CONFIGURATION, MACHINE, Address, Mode
from orchestrator.model.change import Action, Change, Scope
from orchestrator.planning.batches import Barrier, in_order_of_batches
from orchestrator.planning.spreading import machine_of, ordered

_HOLDING_OTHERS = ("Namespace", "CustomResourceDefinition.apiextensions.k8s.io")  # they would take others along


def in_waves(ups: Mapping[Address, Change], downs: Mapping[Address, Change], scope: Scope) -> list[Change]:
    """The changes in scope with their waves: per site from 1, without gaps; 0 where nothing is done.

    `ups` has all desired units: order passes through those that are out of scope. `downs` are removals.
    """
    raised = _numbered(ups, scope)
    last: dict[str, int] = {}
    for change in raised:
        last[change.address.site] = max(last.get(change.address.site, 0), change.wave)
    waves = removal_waves(downs, {})
    taken = [
        replace(change, wave=last.get(address.site, 0) + waves[address]) if change.action.acts else change
        for address, change in downs.items()
    ]
    return [*raised, *taken]


def _numbered(changes: Mapping[Address, Change], scope: Scope) -> list[Change]:
    """Each acting unit's wave is one more than the last of what comes before it, seen through what does nothing."""
    graph = in_order_of_batches(changes)
    depth: dict[Address | Barrier, int] = {}
    found: list[Change] = []
    for address in ordered(graph):
        before = max((depth[need] for need in graph[address]), default=0)
        if isinstance(address, Barrier):
            depth[address] = before
            continue
        change = changes[address]
        acts = change.action.acts and scope.includes(address)
        depth[address] = before + 1 if acts else before
        if not scope.includes(address):
            continue
        if change.action == Action.LATER:
            known = max((depth[need] for need in graph[address] if not isinstance(need, Barrier)), default=0)
            change = replace(change, reason=f"inputs known after wave {known}")
        found.append(replace(change, wave=depth[address]) if acts else change)
    return found


def removal_waves(
    removals: Mapping[Address, Change], needs: Mapping[Address, frozenset[Address]]
) -> dict[Address, int]:
    """Each acting removal's wave, counted from 1 at each site: dependants before what they need.

    `needs` has the units that are still declared; the others go objects first, then configurations, then machines.
    """
    acting = [address for address, change in sorted(removals.items()) if change.action.acts]
    graph = {address: _strays_before(address, acting, needs) for address in acting}
    for address in acting:
        for needed in all_needs(address, needs) & graph.keys():
            graph[needed].add(address)
    waves: dict[Address, int] = {}
    for address in TopologicalSorter(graph).static_order():
        waves[address] = 1 + max((waves[before] for before in graph[address]), default=0)
    return waves


def _strays_before(
    address: Address, acting: Sequence[Address], needs: Mapping[Address, frozenset[Address]]
) -> set[Address]:
    """Where no document says any more what needs what."""
    if address in needs:
        return set()
    if address.mode == Mode.AGILE:
        return _contents_of_others(address, acting)
    strays = [a for a in acting if a not in needs and (a.site, a.placement) == (address.site, address.placement)]
    before = {a for a in strays if a.mode == Mode.AGILE}
    if address.kind == MACHINE:
        before |= {a for a in strays if a.kind == CONFIGURATION and machine_of(a) == address}
    return before


def _contents_of_others(address: Address, acting: Sequence[Address]) -> set[Address]:
    """What other workloads may have in a namespace or of a kind; of its own workload the driver takes care."""
    if address.kind not in _HOLDING_OTHERS:
        return set()
    others = [a for a in acting if a.mode == Mode.AGILE and a.site == address.site]
    return {a for a in others if a.kind not in _HOLDING_OTHERS and a.workload_key != address.workload_key}


def all_needs(address: Address, needs: Mapping[Address, frozenset[Address]]) -> set[Address]:
    """Everything that a unit needs, and what that needs."""
    found: set[Address] = set()
    todo = list(needs.get(address, ()))
    while todo:
        one = todo.pop()
        if one not in found:
            found.add(one)
            todo.extend(needs.get(one, ()))
    return found
