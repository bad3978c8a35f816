"""Which batch a change belongs to: of a workload's machines at a site, or of the sites that a placement picks.

What is done comes first in the count, what is to be done after it, in order; what is held is left out. So a rollout
that was broken off goes on in the batch where it was, whoever goes on with it, and of a batch that cannot be
reached the next machine takes the place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.model.address import CONFIGURATION, MACHINE, Address, Mode, WorkloadKey
from orchestrator.model.change import Action, Change, Scope
from orchestrator.model.rollout import Batch, Rollout, sizes
from orchestrator.planning.spreading import Changes, machine_of, needs_of

Rollouts = Mapping[tuple[str, Mode], Rollout]

_STOPPED = (Action.HOLD, Action.CONFLICT)
_ON_MACHINES = (MACHINE, CONFIGURATION)


def over_machines(changes: Changes, rollouts: Rollouts, scope: Scope) -> Changes:
    """The changes of desired units, with the batches of stable workloads; none where everything is one batch."""
    workloads: dict[WorkloadKey, dict[str, list[Change]]] = {}
    for address, change in changes.items():
        if (address.placement, Mode.STABLE) in rollouts and address.kind in _ON_MACHINES:
            workloads.setdefault(address.workload_key, {}).setdefault(address.name, []).append(change)
    found = dict(changes)
    for key, machines in workloads.items():
        batches = _batches(rollouts[key.placement, Mode.STABLE], machines, len(machines), scope)
        for name, batch in batches.items():
            for change in machines[name]:
                if _acts(change, scope):
                    found[change.address] = replace(change, batch=batch)
    return found


def over_sites(changes: Sequence[Change], rollouts: Rollouts, scope: Scope) -> list[Change]:
    """The changes, removals among them, with the batches of agile workloads; none where everything is one batch."""
    placements: dict[str, dict[str, list[Change]]] = {}
    for change in changes:
        a = change.address
        if a.mode == Mode.AGILE and (a.placement, Mode.AGILE) in rollouts:
            placements.setdefault(a.placement, {}).setdefault(a.site, []).append(change)
    batches: dict[tuple[str, str], Batch] = {}
    for placement, sites in placements.items():
        rollout = rollouts[placement, Mode.AGILE]
        everywhere = {site: sites.get(site, []) for site in sorted({*rollout.sites, *sites})}
        for site, batch in _batches(rollout, everywhere, len(everywhere), scope).items():
            batches[placement, site] = batch
    return [_with_batch(change, batches, scope) for change in changes]


def together(sites: Iterable[str], rollouts: Rollouts) -> list[tuple[str, ...]]:
    """The sites in groups: those that some placement takes one batch after the other are in one."""
    groups = [frozenset({site}) for site in sorted(sites)]
    for (_, mode), rollout in sorted(rollouts.items()):
        if mode == Mode.AGILE and len(sizes(rollout.batches, len(rollout.sites))) > 1:
            touched = [group for group in groups if group & set(rollout.sites)]
            groups = [group for group in groups if group not in touched]
            groups += [frozenset().union(*touched)] if touched else []
    return sorted(tuple(sorted(group)) for group in groups)


def _with_batch(change: Change, batches: Mapping[tuple[str, str], Batch], scope: Scope) -> Change:
    batch = batches.get((change.address.placement, change.address.site))
    if batch is None or change.address.mode != Mode.AGILE or not _acts(change, scope):
        return change
    return replace(change, batch=batch)


def _batches(rollout: Rollout, members: Mapping[str, Sequence[Change]], total: int, scope: Scope) -> dict[str, Batch]:
    """Each member that has something to do, and its batch; what a command leaves out counts as done."""
    acting = [name for name, changes in members.items() if any(_acts(change, scope) for change in changes)]
    held = [n for n, cs in members.items() if n not in set(acting) and any(c.action in _STOPPED for c in cs)]
    done = total - len(acting) - len(held)
    found = {name: rollout.batch_at(done + index, total) for index, name in enumerate(acting)}
    return found if any(batch.of > 1 for batch in found.values()) else {}


def _acts(change: Change, scope: Scope) -> bool:
    return change.action.acts and scope.includes(change.address)


@dataclass(frozen=True, slots=True, order=True)
class Barrier:
    """The end of one batch of a workload (or of its machines, or of its configurations)."""

    workload: WorkloadKey
    kind: str
    number: int


def in_order_of_batches(changes: Mapping[Address, Change]) -> dict[Address | Barrier, set[Address | Barrier]]:
    """What comes before what: each unit after what it needs and after the batches before its own.

    A machine and its configuration go together, batch by batch. Where a configuration needs other machines that
    change as well, all machines come first, batch by batch, then the configurations.
    """
    acting = {a: change for a, change in changes.items() if change.batch is not None and a.mode == Mode.STABLE}
    apart = {a.workload_key for a, change in acting.items() if any(n.name != a.name for n in _inner(change, acting))}
    graph: dict[Address | Barrier, set[Address | Barrier]] = {
        a: {need for need in _before(change) if need in changes} for a, change in sorted(changes.items())
    }
    chains: dict[tuple[WorkloadKey, str], set[int]] = {}
    for a, change in acting.items():
        if change.batch is not None:
            key = (a.workload_key, a.kind if a.workload_key in apart else "")
            chains.setdefault(key, set()).add(change.batch.number)
    for a, change in acting.items():
        if change.batch is not None:
            key = (a.workload_key, a.kind if a.workload_key in apart else "")
            graph.setdefault(Barrier(*key, change.batch.number), set()).add(a)
            lower = [number for number in chains[key] if number < change.batch.number]
            graph[a] |= {Barrier(*key, max(lower))} if lower else set()
    return graph


def _inner(change: Change, acting: Mapping[Address, Change]) -> list[Address]:
    """The units of its own workload that it needs and that change as well."""
    key = change.address.workload_key
    return [need for need in _before(change) if need in acting and need.workload_key == key]


def _before(change: Change) -> frozenset[Address]:
    """What it needs; what is only waited for needs nothing but its own machine."""
    if change.action == Action.WAIT and change.batch is not None:
        return frozenset({machine_of(change.address)}) - {change.address}
    return needs_of(change)
