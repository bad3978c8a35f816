"""Snapshot → change → restore: what is kept before what, what is given back, and what a kill leaves to the next run."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import PlanError
from orchestrator.execution.snapshots import name_of, notes, refuse_without_snapshots, unfinished
from orchestrator.model.address import Address, Mode, WorkloadKey
from orchestrator.model.outcome import Result
from orchestrator.model.rollout import Rollout
from orchestrator.model.unit import Unit
from tests.execution.memory import ESTATE, Bench, Killed, unit

COUNT = 3


def machine(index: int) -> str:
    return f"s/p/stable/db/machine/db-{index}"


def configuration(index: int) -> str:
    return f"s/p/stable/db/configuration/db-{index}"


def wanted(value: int) -> list[Unit]:
    machines = [unit(machine(index)) for index in range(COUNT)]
    return [*machines, *(unit(configuration(i), [machine(i)], value) for i in range(COUNT))]


def changed(
    *, on_failure: str = "restore", batches: tuple[int | str, ...] = (1, "100%"), max_failures: int = 0
) -> Bench:
    """Three machines, applied; then their configurations change."""
    bench = Bench(lambda there: wanted(1))
    bench.rollouts = {
        ("p", Mode.STABLE): Rollout(batches, max_failures, on_failure=on_failure, snapshot=True, sites=("s",))
    }
    bench.run()
    assert {action for action, _ in bench.steps} == {"create"}  # what is new has nothing to keep
    bench.units = lambda there: wanted(2)
    bench.targets["s", Mode.STABLE].steps.clear()
    return bench


def values(bench: Bench) -> list[int]:
    """Which version of its configuration each machine has."""
    there = bench.targets["s", Mode.STABLE].there
    versions = {unit(configuration(0), (), value).digest(""): value for value in (1, 2)}
    return [versions[there[Address.parse(configuration(i))].digest] for i in range(COUNT)]


def test_each_batch_is_kept_changed_and_let_go_in_this_order() -> None:
    bench = changed()
    assert bench.run().counts() == {Result.DONE: COUNT}
    assert [action for action, _ in bench.steps[:3]] == ["snapshot", "update", "drop snapshot"]
    assert {address for _, address in bench.steps[:3]} == {machine(0), configuration(0)}
    assert [action for action, _ in bench.steps[3:]] == ["snapshot"] * 2 + ["update"] * 2 + ["drop snapshot"] * 2
    assert bench.targets["s", Mode.STABLE].kept == bench.store.snapshots("s") == {}


def test_what_failed_is_given_back_and_no_other_batch_is_begun() -> None:
    bench = changed()
    target = bench.targets["s", Mode.STABLE]
    target.fails = {configuration(0)}
    assert bench.run().failed()
    assert [action for action, _ in bench.steps] == ["snapshot", "update", "restore", "drop snapshot"]
    assert values(bench) == [1, 1, 1]
    assert [text for _, text, _ in bench.told.backs] == ["machine db-0 was given back as it was before the change"]
    assert target.kept == bench.store.snapshots("s") == {}


def test_what_stopped_answering_is_given_back_as_well_and_what_went_well_stays() -> None:
    bench = changed(batches=("100%",))
    bench.targets["s", Mode.STABLE].lost = {configuration(1)}
    bench.run()
    assert ("restore", machine(1)) in bench.steps
    assert values(bench) == [2, 1, 2]
    assert bench.store.snapshots("s") == {}


def test_where_a_failure_only_stops_the_snapshot_stays_and_stands_for_the_next_run() -> None:
    bench = changed(on_failure="stop")
    target = bench.targets["s", Mode.STABLE]
    target.fails = {configuration(0)}
    bench.run()
    name = name_of(ESTATE, WorkloadKey("s", "p", Mode.STABLE, "db"))
    assert bench.told.backs[0][1] == f"snapshot {name} of machine db-0 from before the change is kept"
    assert [note.text for note in notes(bench.plan(), bench.world)] == [
        "machine db-0: the snapshot from before an earlier run's change stands for this one"
    ]
    target.fails, target.steps = set(), []
    bench.run()
    assert [step for step in bench.steps if step[1] == machine(0)] == [("drop snapshot", machine(0))]


def test_without_its_snapshot_a_machine_is_not_changed() -> None:
    bench = changed()
    bench.targets["s", Mode.STABLE].fails = {"snapshot"}
    bench.run()
    assert {action for action, _ in bench.steps} == {"snapshot"}
    outcome = bench.told.outcomes[configuration(0)]
    says = "not started, as its snapshot failed: no room; apply again once one can be taken, or leave `snapshot` out"
    assert (outcome.result, outcome.message.startswith(says)) == (Result.FAILED, True)
    assert bench.told.outcomes[configuration(1)].result == Result.HELD


def test_a_restore_that_fails_is_said_and_tried_first_by_the_next_run() -> None:
    bench = changed()
    target = bench.targets["s", Mode.STABLE]
    target.fails = {configuration(0), "restore"}
    bench.run()
    (_, text, well) = bench.told.backs[0]
    assert (text, well) == ("machine db-0 could not be given back: no room; the next apply tries again", False)
    assert [note.text for note in notes(bench.plan(), bench.world)] == [
        "machine db-0: first given back as it was, as an earlier run had begun to"
    ]
    target.fails, target.steps = set(), []
    bench.run()
    assert bench.steps[:2] == [("restore", machine(0)), ("drop snapshot", machine(0))]
    assert values(bench) == [2, 2, 2]


def test_a_provider_that_cannot_keep_machines_is_refused_before_anything() -> None:
    bench = changed()
    refuse_without_snapshots(bench.plan(), bench.world)
    bench.targets["s", Mode.STABLE].no_snapshots = "provider static takes no snapshots"
    with pytest.raises(PlanError, match=r"at s there can be none: provider static takes no snapshots"):
        refuse_without_snapshots(bench.plan(), bench.world)


@settings(deadline=None)
@given(st.integers(0, 24), st.sets(st.integers(0, COUNT - 1)), st.sampled_from(["restore", "stop"]))
def test_killed_anywhere_the_next_run_finishes_or_gives_back_and_leaves_no_snapshot(
    dies_after: int, broken: set[int], on_failure: str
) -> None:
    bench = changed(on_failure=on_failure, max_failures=COUNT)
    target = bench.targets["s", Mode.STABLE]
    target.dies_after = dies_after
    target.fails = {configuration(index) for index in broken}
    try:
        bench.run()
    except Killed:
        target.dies_after = None
    target.dies_after = None
    again = bench.plan()
    if again.acting or unfinished(again, bench.world):
        bench.run()
    assert values(bench) == [1 if index in broken else 2 for index in range(COUNT)]
    left = set(bench.store.snapshots("s"))
    assert left == set(target.kept)
    assert left == ({Address.parse(machine(i)) for i in broken} if on_failure == "stop" else set())
    target.fails = set()
    again = bench.plan()
    if again.acting or unfinished(again, bench.world):
        bench.run()
    assert values(bench) == [2] * COUNT
    assert target.kept == bench.store.snapshots("s") == {}
