"""Which sites are gone to together, so that a placement can take them one batch after the other."""

from __future__ import annotations

from orchestrator.model.address import Mode
from orchestrator.model.rollout import Rollout
from orchestrator.planning.batches import together


def test_only_sites_that_a_placement_takes_in_batches_stay_together() -> None:
    rollouts = {
        ("shop", Mode.AGILE): Rollout((1, "100%"), sites=("a", "b")),
        ("blog", Mode.AGILE): Rollout((1,), sites=("b", "c")),
        ("wiki", Mode.AGILE): Rollout(("100%",), sites=("d", "e")),
        ("data", Mode.STABLE): Rollout((1,), sites=("d", "e")),
    }
    assert together(["e", "d", "c", "b", "a"], rollouts) == [("a", "b", "c"), ("d",), ("e",)]
    assert together(["a", "e"], rollouts) == [("a",), ("e",)]
    assert together([], rollouts) == []
