"""A workload that failed goes back to the last revision that was good there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from orchestrator.model.address import Address, Mode, WorkloadKey
from orchestrator.model.change import Change, Plan, Scope
from orchestrator.model.outcome import Outcome, Result


@dataclass(frozen=True, slots=True)
class Back:
    """Where a workload goes back to: the run that had left it so, and what plans that."""

    run: int
    planner: Callable[[Scope], Plan]


Revert: TypeAlias = Callable[[WorkloadKey], Back | str]
"""Pins a workload at a site to its last good revision; why there is none where there is none."""


def no_revert(workload: WorkloadKey) -> str:
    """Where nobody keeps revisions."""
    return "no revision is kept"


def to_revert(plan: Plan, wave: Iterable[Change], outcomes: Mapping[Address, Outcome]) -> list[WorkloadKey]:
    """The workloads of a wave that failed and whose placement wants them back as they were."""
    found = set()
    for change in wave:
        key = change.address.workload_key
        rollout = plan.rollouts.get((key.placement, key.mode))
        outcome = outcomes.get(change.address)
        failed = outcome is not None and outcome.result == Result.FAILED
        if failed and key.mode == Mode.AGILE and rollout is not None and rollout.on_failure == "rollback":
            found.add(key)
    return sorted(found)
