"""After a run: what its placements were resolved from is kept, for the workloads that are as it wants them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from orchestrator.documents.revisions import revision_of
from orchestrator.execution.world import World
from orchestrator.model.address import Address, WorkloadKey
from orchestrator.model.change import Action, Change, Plan
from orchestrator.model.outcome import Outcome, Result


def keep_revisions(world: World, shown: Plan, outcomes: Mapping[Address, Outcome], run: int) -> None:
    """Keep the revision of each workload that the run has changed and left whole."""
    pinned = {(p.row.site, p.row.placement, p.row.mode, p.row.workload) for p in world.loaded.pins if p.row.workload}
    by_placement: dict[str, list[WorkloadKey]] = defaultdict(list)
    for key in left_whole(shown, outcomes):
        is_pinned = (key.site, key.placement, str(key.mode), key.workload) in pinned
        if key.placement in world.loaded.chosen and not is_pinned:
            by_placement[key.placement].append(key)
    for placement, keys in sorted(by_placement.items()):
        world.store.keep(run, revision_of(world.loaded, placement), sorted(keys))


def left_whole(shown: Plan, outcomes: Mapping[Address, Outcome]) -> frozenset[WorkloadKey]:
    """The workloads of which something was changed and everything is as declared, with no unit out of sight."""
    if shown.scope.targets is not None:  # only parts of workloads are in it
        return frozenset()
    changed = {c.address.workload_key for c in shown.acting if c.unit is not None}
    broken = {c.address.workload_key for c in shown.changes if not _is_well(c, outcomes)}
    return frozenset(changed - broken)


def _is_well(change: Change, outcomes: Mapping[Address, Outcome]) -> bool:
    if change.action.acts:
        outcome = outcomes.get(change.address)
        return outcome is not None and outcome.result == Result.DONE
    return change.action == Action.NONE
