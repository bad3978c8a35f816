"""Batches over machines and over sites: what is begun after what, what a failure stops, going on after a kill."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model.address import Address, Mode
from orchestrator.model.change import Action
from orchestrator.model.outcome import Result
from orchestrator.model.rollout import Rollout, sizes
from orchestrator.model.unit import Unit
from tests.execution.memory import Bench, Killed, unit


def configuration(index: int, site: str = "s") -> str:
    return f"{site}/p/stable/db/configuration/db-{index}"


def machines(count: int, *, batches: tuple[int | str, ...], max_failures: int = 0) -> Bench:
    bench = Bench(lambda there: [unit(configuration(index)) for index in range(count)])
    bench.rollouts = {("p", Mode.STABLE): Rollout(batches, max_failures, sites=("s",))}
    return bench


def numbers(bench: Bench) -> list[int]:
    """The machines in the order in which they were begun."""
    return [int(address.rpartition("-")[2]) for _, address in bench.steps]


def test_percentages_are_of_all_rounded_down_and_the_last_size_is_repeated() -> None:
    assert sizes([1, "25%", "100%"], 50) == [1, 12, 37]
    assert sizes([1, "25%"], 10) == [1, 2, 2, 2, 2, 1]
    assert sizes(["1%"], 3) == [1, 1, 1]
    assert sizes([5], 3) == [3]
    assert sizes([1], 0) == []


def test_a_failure_stops_the_batches_after_it_and_says_so() -> None:
    bench = machines(5, batches=(1, 2, "100%"))
    bench.targets["s", Mode.STABLE].fails = {configuration(1)}
    bench.run()
    assert sorted(numbers(bench)) == [0, 1, 2]
    held = bench.told.outcomes[configuration(3)]
    assert (held.result, held.message) == (
        Result.HELD,
        "not started: 1 of 5 machines failed (db-1); maxFailures is 0",
    )


def test_as_many_as_may_fail_stop_nothing() -> None:
    bench = machines(5, batches=(1, 2, "100%"), max_failures=1)
    bench.targets["s", Mode.STABLE].fails = {configuration(1)}
    assert bench.run().counts() == {Result.DONE: 4, Result.FAILED: 1}


def test_what_stops_answering_is_counted_apart_from_what_fails() -> None:
    bench = machines(6, batches=(1, 2, "100%"), max_failures=1)
    target = bench.targets["s", Mode.STABLE]
    target.fails, target.lost = {configuration(1)}, {configuration(2)}
    assert bench.run().counts() == {Result.DONE: 4, Result.FAILED: 1, Result.UNREACHABLE: 1}

    bench = machines(6, batches=(1, 2, "100%"))
    bench.targets["s", Mode.STABLE].lost = {configuration(1)}
    bench.run()
    assert "1 of 6 machines stopped answering while they were changed (db-1)" in (
        bench.told.outcomes[configuration(5)].message
    )


def test_broken_off_in_the_second_batch_the_next_run_goes_on_there() -> None:
    bench = machines(6, batches=(1, 3, "100%"))
    target = bench.targets["s", Mode.STABLE]
    target.dies_after = 2
    try:
        bench.run()
    except Killed:
        target.dies_after = None
    assert numbers(bench) == [0, 1]
    bench.run()
    assert sorted(numbers(bench)[2:4]) == [2, 3]
    assert sorted(numbers(bench)[4:]) == [4, 5]


def test_the_journal_and_those_who_watch_are_told_the_batch() -> None:
    bench = machines(3, batches=(1, "100%"))
    bench.run()
    assert bench.store.reasons[configuration(2)] == "not there yet (batch 2 of 2)"
    assert bench.told.words[configuration(2)] == ["batch 2 of 2: under way"]


@settings(deadline=None)
@given(
    st.integers(1, 9),
    st.lists(st.one_of(st.integers(1, 4), st.sampled_from(["10%", "25%", "50%", "100%"])), min_size=1, max_size=3),
    st.sets(st.integers(0, 8)),
    st.integers(0, 2),
    st.integers(0, 9),
)
def test_no_batch_begins_before_the_one_before_has_ended_well_enough(
    count: int, batches: list[int | str], broken: set[int], limit: int, dies_after: int
) -> None:
    """Also where the run is killed anywhere and another one goes on; nothing that was done is done again."""
    bench = machines(count, batches=tuple(batches), max_failures=limit)
    target = bench.targets["s", Mode.STABLE]
    target.dies_after = dies_after
    try:
        bench.run()
    except Killed:
        target.dies_after = None
    else:
        target.steps.clear()
        target.there.clear()
        target.dies_after = None
    begun = numbers(bench)
    target.fails = {configuration(index) for index in broken}
    bench.run()
    groups = [0]
    for size in sizes(batches, count):
        groups.append(groups[-1] + size)
    last = numbers(bench)
    assert len(last) == len(set(last))
    for low, high in pairwise(groups):
        later = [n for n in last if n >= high]
        failed_before = [n for n in last[len(begun) :] if n < high and n in broken]
        assert not later or len(failed_before) <= limit
        earlier = [last.index(n) for n in last if n < low]
        within = [last.index(n) for n in last if low <= n < high]
        assert not earlier or not within or max(earlier) < min(within)
    if not broken:
        assert sorted(last) == list(range(count))


def thing(site: str, value: int = 1) -> Unit:
    return unit(f"{site}/p/agile/web/ConfigMap/n/web", value=value)


def sites(names: str, *, batches: tuple[int | str, ...], max_failures: int = 0) -> Bench:
    bench = Bench(lambda there: [thing(site) for site in names], sites=list(names))
    bench.rollouts = {("p", Mode.AGILE): Rollout(batches, max_failures, sites=tuple(names))}
    return bench


def begun(bench: Bench) -> set[str]:
    return {address[0] for _, address in bench.steps}


def test_sites_of_a_later_batch_wait_for_those_before() -> None:
    order: list[str] = []
    bench = sites("abcd", batches=(1, "100%"))
    for target in bench.targets.values():
        target.on_step = lambda change: order.append(change.address.site)
    assert bench.run().counts() == {Result.DONE: 4}
    assert order[0] == "a"


def test_a_site_that_fails_stops_the_sites_after_it_and_only_that_placements_objects() -> None:
    bench = sites("abc", batches=(1, "100%"))
    other, machine = "c/q/agile/x/ConfigMap/n/x", "c/p/stable/db/configuration/db-0"
    bench.units = lambda there: [*(thing(site) for site in "abc"), unit(other), unit(machine)]
    bench.targets["a", Mode.AGILE].fails = {str(thing("a").address)}
    bench.run()
    assert bench.told.outcomes[str(thing("b").address)].message == (
        "not started: 1 of 3 sites failed (a); maxFailures is 0"
    )
    assert {address for _, address in bench.steps} == {str(thing("a").address), other, machine}


def test_a_site_whose_run_was_stopped_counts_as_failed() -> None:
    bench = sites("ab", batches=(1, "100%"))
    shown = bench.plan()
    bench.units = lambda there: [thing("a"), unit("a/p/agile/web/ConfigMap/n/new"), thing("b")]
    bench.run(shown)
    assert bench.steps == []
    assert "1 of 2 sites failed (a)" in bench.told.outcomes[str(thing("b").address)].message


def test_what_needs_an_object_that_waits_for_another_site_waits_too() -> None:
    bench = sites("ab", batches=(1, "100%"))
    machine = "b/p/stable/db/configuration/db-0"
    bench.units = lambda there: [thing("a"), thing("b"), unit(machine, [str(thing("b").address)])]
    assert bench.run().counts() == {Result.DONE: 3}
    assert [address for _, address in bench.targets["b", Mode.STABLE].steps] == [machine]


def test_a_removal_takes_its_turn_as_well() -> None:
    bench = sites("ab", batches=(1, "100%"))
    bench.run()
    bench.units = lambda there: [thing("a", 2)]
    bench.targets["a", Mode.AGILE].fails = {str(thing("a").address)}
    bench.run()
    assert Address.parse(str(thing("b").address)) in bench.targets["b", Mode.AGILE].there
    assert bench.acting() == {str(thing("a").address): Action.UPDATE, str(thing("b").address): Action.DELETE}


def test_asked_to_stop_sites_that_wait_do_not_begin() -> None:
    bench = sites("abc", batches=(1,))
    bench.targets["a", Mode.AGILE].on_step = lambda change: bench.stop.ask()
    bench.run()
    assert begun(bench) == {"a"}
