"""The engine over targets in memory: order, what a failure stops, what is never done, going on after a kill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import LeaseHeldError
from orchestrator.model.address import Address, Mode
from orchestrator.model.change import Action, Change
from orchestrator.model.outcome import Lease, Result
from orchestrator.model.unit import Stamp, Unit
from tests.execution.memory import Bench, Killed, later, unit

MACHINE, CONFIGURATION = "s/p/stable/db/machine/m", "s/p/stable/db/configuration/m"
OBJECT, OTHER = "s/p/agile/web/Deployment.apps/n/web", "s/p/agile/other/ConfigMap/n/c"


def shop(there: Mapping[Address, Stamp]) -> list[Unit]:
    """A machine, its configuration, an object that needs its address, and one that needs nothing."""
    address = "at-m" if Address.parse(MACHINE) in there else later(MACHINE)
    return [
        unit(MACHINE),
        unit(CONFIGURATION, [MACHINE], address),
        unit(OBJECT, [CONFIGURATION], address),
        unit(OTHER),
    ]


def test_what_needs_an_address_comes_after_the_machine_that_has_it() -> None:
    bench = Bench(shop)
    assert bench.run().counts() == {Result.DONE: 4}
    order = [address for _, address in bench.store.lines if _ == "intend"]
    assert order.index(MACHINE) < order.index(CONFIGURATION) < order.index(OBJECT)
    assert bench.acting() == {}


def test_intent_is_journaled_before_the_target_is_touched() -> None:
    bench = Bench(shop)
    seen: list[bool] = []

    def intended(change: Change) -> None:
        seen.append(("intend", str(change.address)) in bench.store.lines)

    for target in bench.targets.values():
        target.on_step = intended
    bench.run()
    assert seen == [True] * 4


def test_the_journal_has_the_waves_of_the_plan_that_was_shown() -> None:
    bench = Bench(shop)
    bench.run()
    assert bench.store.waves == {MACHINE: 1, OTHER: 1, CONFIGURATION: 2, OBJECT: 3}


def test_drivers_are_told_what_the_first_wave_will_ask_for_and_no_more() -> None:
    bench = Bench(shop)
    bench.run()
    assert bench.targets["s", Mode.STABLE].prepared == [MACHINE]
    assert bench.targets["s", Mode.AGILE].prepared == [OTHER]


def test_a_failure_holds_what_needs_it_and_nothing_else() -> None:
    bench = Bench(shop)
    bench.targets["s", Mode.STABLE].fails = {CONFIGURATION}
    result = bench.run()
    assert bench.told.outcomes[CONFIGURATION].result == Result.FAILED
    assert bench.told.outcomes[OBJECT].result == Result.HELD
    assert "configuration m" in bench.told.outcomes[OBJECT].message
    assert bench.told.outcomes[OTHER].result == Result.DONE
    assert result.failed()
    assert OBJECT not in [address for _, address in bench.steps]


def test_nothing_is_deleted_in_a_placement_where_something_failed() -> None:
    bench = Bench(lambda there: [unit(OTHER), unit(OBJECT)])
    bench.run()
    bench.units = lambda there: [unit(OTHER, value=2)]
    bench.targets["s", Mode.AGILE].fails = {OTHER}
    bench.run()
    assert bench.told.outcomes[OBJECT].result == Result.HELD
    assert Address.parse(OBJECT) in bench.targets["s", Mode.AGILE].there


def test_a_plan_that_moved_since_it_was_shown_stops_the_site_and_says_so() -> None:
    bench = Bench(lambda there: [unit(OTHER)])
    shown = bench.plan()
    bench.units = lambda there: [unit(OTHER), unit(OBJECT)]
    result = bench.run(shown)
    assert bench.steps == []
    assert OBJECT in result.stopped["s"]
    assert result.failed()


def test_one_sites_surprise_does_not_stop_another_site() -> None:
    elsewhere = OTHER.replace("s/", "t/", 1)
    bench = Bench(lambda there: [unit(OTHER), unit(elsewhere)], sites=("s", "t"))
    shown = bench.plan()
    bench.units = lambda there: [unit(OTHER), unit(OBJECT), unit(elsewhere)]
    result = bench.run(shown)
    assert list(result.stopped) == ["s"]
    assert [address for _, address in bench.steps] == [elsewhere]


def test_a_held_lease_refuses_before_anything_is_changed() -> None:
    bench = Bench(shop)
    bench.targets["s", Mode.AGILE].held_by = Lease("s", "ana@build-3 pid 7", 3, 1, -120.0, 60.0)
    with pytest.raises(LeaseHeldError, match=r"ana@build-3 pid 7, since 2 min ago.*unlock s"):
        bench.run()
    assert bench.steps == []


def test_asked_to_stop_the_wave_under_way_ends_and_no_other_starts() -> None:
    bench = Bench(shop)

    def stop(change: Change) -> None:
        bench.stop.ask()

    bench.targets["s", Mode.STABLE].on_step = stop
    bench.run()
    assert CONFIGURATION not in [address for _, address in bench.steps]
    assert bench.store.verdict == "interrupted"


def test_asked_twice_the_drivers_end_what_they_run_and_the_run_was_interrupted() -> None:
    bench = Bench(shop)

    def stop(change: Change) -> None:
        raise KeyboardInterrupt

    bench.targets["s", Mode.STABLE].on_step = stop
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    assert all(target.closed for target in bench.targets.values())
    assert bench.store.verdict == "interrupted"


def test_a_unit_that_never_becomes_as_declared_is_tried_once_a_run() -> None:
    bench = Bench(lambda there: [unit(OTHER)])
    bench.targets["s", Mode.AGILE].there = _Forgetful()
    assert bench.run().counts() == {Result.DONE: 1}
    assert len(bench.steps) == 1


class _Forgetful(dict[Address, Stamp]):
    def __setitem__(self, key: Address, value: Stamp) -> None:
        return


NAMES = "abcdef"


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[str, list[str]]]:
    """Objects of workloads of their own, each needing some of those before it."""
    count = draw(st.integers(1, len(NAMES)))
    addresses = [f"s/p/agile/{name}/ConfigMap/n/{name}" for name in NAMES[:count]]
    return [
        (a, draw(st.lists(st.sampled_from(addresses[:i]), unique=True)) if i else []) for i, a in enumerate(addresses)
    ]


@given(graphs(), st.integers(0, 6))
def test_killed_after_any_step_the_next_run_does_only_what_is_left(graph: list[Any], dies_after: int) -> None:
    bench = Bench(lambda there: [unit(address, needs) for address, needs in graph])
    target = bench.targets["s", Mode.AGILE]
    target.dies_after = dies_after
    try:
        bench.run()
    except Killed:
        target.dies_after = None
        bench.run()
    assert bench.acting() == {}
    done = [address for _, address in target.steps]
    assert sorted(done) == sorted(address for address, _ in graph)
    for address, needs in graph:
        assert all(done.index(need) < done.index(address) for need in needs)


@given(graphs(), st.sets(st.sampled_from(NAMES)))
def test_whatever_fails_what_needs_it_is_never_started(graph: list[Any], broken: set[str]) -> None:
    bench = Bench(lambda there: [unit(address, needs) for address, needs in graph])
    target = bench.targets["s", Mode.AGILE]
    target.fails = {address for address, _ in graph if address[-1] in broken}
    bench.run()
    started = {address for _, address in target.steps}
    for address, needs in graph:
        vain = any(need in target.fails or need not in started for need in needs)
        assert (address in started) != vain
    assert set(bench.told.outcomes) == {address for address, _ in graph}


def test_a_removed_unit_goes_and_its_record_too() -> None:
    bench = Bench(lambda there: [unit(OTHER)])
    bench.run()
    assert list(bench.store.known) == [Address.parse(OTHER)]
    bench.units = lambda there: ()
    assert bench.acting() == {OTHER: Action.DELETE}
    bench.run()
    assert bench.store.known == {}
