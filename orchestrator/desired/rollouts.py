"""How placements want their changes rolled out."""

from __future__ import annotations

from orchestrator.desired.parameters import sites_of
from orchestrator.documents.change_policy import AgileChange, StableChange
from orchestrator.documents.loaded import Loaded
from orchestrator.model.address import Mode
from orchestrator.model.rollout import Rollout


def rollouts_of(loaded: Loaded) -> dict[tuple[str, Mode], Rollout]:
    """(placement, mode) -> its policy, where one is written."""
    found: dict[tuple[str, Mode], Rollout] = {}
    for name, placement in loaded.placements.items():
        change = placement.model.spec.change
        if change is None:
            continue
        sites = tuple(site.model.metadata.name for site in sites_of(loaded, placement.model))
        for mode in Mode:
            policy: StableChange | AgileChange | None = getattr(change, mode)
            if policy is not None:
                found[name, mode] = Rollout(
                    batches=policy.batches,
                    max_failures=policy.max_failures,
                    on_failure=policy.on_failure,
                    snapshot=isinstance(policy, StableChange) and policy.snapshot,
                    sites=sites,
                    source=placement.at.of_key("spec", "change", str(mode)),
                )
    return found
