"""A workload that failed goes back to its last good revision, in the same run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestrator.execution.reverting import Back
from orchestrator.model.address import Address, Mode, WorkloadKey
from orchestrator.model.change import Plan, Scope
from orchestrator.model.outcome import Result
from orchestrator.model.rollout import Rollout
from tests.execution.memory import Bench, unit

WEB, EXTRA = "s/p/agile/web/Deployment.apps/n/web", "s/p/agile/web/ConfigMap/n/extra"
AFTER, OTHER = "s/p/agile/after/ConfigMap/n/after", "s/p/agile/other/ConfigMap/n/other"
KEY = WorkloadKey("s", "p", Mode.AGILE, "web")


def changed(value: int) -> Bench:
    """A workload of two objects, of which the new revision changes one and makes the other; one that needs it."""
    bench = Bench(lambda there: [unit(WEB), unit(OTHER)])
    bench.run()
    bench.rollouts = {("p", Mode.AGILE): Rollout(on_failure="rollback", sites=("s",))}
    bench.units = lambda there: [
        unit(WEB, value=value),
        unit(EXTRA, value=value),
        unit(AFTER, [WEB]),
        unit(OTHER, value=value),
    ]
    bench.targets["s", Mode.AGILE].steps.clear()
    bench.store.lines.clear()
    return bench


def back_to_the_first(bench: Bench) -> Any:
    def plan(scope: Scope) -> Plan:
        now, bench.units = bench.units, lambda there: [unit(WEB), unit(OTHER)]
        bench.targets["s", Mode.AGILE].fails = set()
        try:
            return bench.plan(scope)
        finally:
            bench.units = now

    return lambda key: Back(41, plan)


def test_the_failed_workload_is_as_it_was_and_nothing_else_is_touched() -> None:
    bench = changed(2)
    target = bench.targets["s", Mode.AGILE]
    target.fails = {WEB}
    result = bench.run(revert=back_to_the_first(bench))
    assert result.failed()
    assert Address.parse(EXTRA) not in target.there
    assert target.there[Address.parse(WEB)] == unit(WEB).stamp("e1", "")
    assert target.there[Address.parse(OTHER)] == unit(OTHER, value=2).stamp("e1", "")
    assert [text for _, text, _ in bench.told.backs] == ["rolling back to run 41", "is back at run 41"]
    assert result.outcomes[Address.parse(WEB)].result == Result.FAILED
    assert result.outcomes[Address.parse(AFTER)].result == Result.HELD
    assert bench.store.reasons[EXTRA].startswith("back to run 41: ")


def test_without_a_good_revision_it_says_so_and_stays_as_it_is() -> None:
    bench = changed(2)
    bench.targets["s", Mode.AGILE].fails = {WEB}
    bench.run()
    assert bench.told.backs == [(str(KEY), "not rolled back: no revision is kept", False)]


def test_what_fails_on_the_way_back_is_said() -> None:
    bench = changed(2)
    target = bench.targets["s", Mode.AGILE]
    target.fails = {WEB}
    to_first = back_to_the_first(bench)

    def failing(key: WorkloadKey) -> Back:
        planner = to_first(key).planner

        def plan(scope: Scope) -> Plan:
            made = planner(scope)
            target.fails = {EXTRA}
            return made

        return Back(41, plan)

    bench.run(revert=failing)
    assert bench.told.backs[-1] == (str(KEY), "could not be rolled back whole to run 41", False)


def test_only_where_the_placement_wants_it() -> None:
    bench = changed(2)
    bench.rollouts = {key: replace(rollout, on_failure="stop") for key, rollout in bench.rollouts.items()}
    bench.targets["s", Mode.AGILE].fails = {WEB}
    bench.run(revert=back_to_the_first(bench))
    assert bench.told.backs == []
