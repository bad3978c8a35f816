"""Looking again when there is a reason to, and only where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

from orchestrator.execution.lookout import Lookout
from orchestrator.execution.stop import Stop
from orchestrator.execution.world import World
from orchestrator.model.address import Mode
from tests.execution.memory import Target, unit

UNITS = [unit("s/p/agile/w/ConfigMap/n/a")]


class Counting(Target):
    looks = 0

    def observe(self, units: Sequence[Any], known: Sequence[Any]) -> Any:
        self.looks += 1
        return super().observe(units, known)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def bench(**targets: Counting) -> tuple[Lookout, Clock, Mapping[str, Counting]]:
    clock = Clock()
    drivers = {("s", Mode(name)): target for name, target in targets.items()}
    world = World(
        loaded=cast(Any, None),
        secrets={},
        hosts={},
        drivers=drivers,
        store=cast(Any, SimpleNamespace()),
        holder="me",
        render=cast(Any, None),
    )
    return Lookout(world, 60, clock), clock, targets


def look(lookout: Lookout) -> None:
    for driver in lookout.world.drivers.values():
        driver.observe(UNITS, [])


def test_only_what_has_told_of_a_change_is_looked_at_again() -> None:
    lookout, _, targets = bench(agile=Counting(can_watch=True), stable=Counting())
    look(lookout)
    assert lookout.begin() is False  # not everything can be watched
    look(lookout)
    assert [target.looks for target in targets.values()] == [1, 1]
    targets["agile"].tell()
    assert lookout.wait(Stop())
    look(lookout)
    assert [target.looks for target in targets.values()] == [2, 1]


def test_what_cannot_be_watched_is_looked_at_after_its_time() -> None:
    lookout, clock, targets = bench(stable=Counting())
    look(lookout)
    clock.now += 61
    assert lookout.wait(Stop())
    look(lookout)
    assert targets["stable"].looks == 2


def test_what_changes_while_it_is_looked_at_is_looked_at_again() -> None:
    target = Counting(can_watch=True)
    lookout, _, _ = bench(agile=target)
    look(lookout)
    assert lookout.begin() is True
    observe = target.observe
    target.tell()
    target.observe = lambda *arguments: (target.tell(), observe(*arguments))[1]  # type: ignore[method-assign]
    look(lookout)
    target.observe = observe  # type: ignore[method-assign]
    look(lookout)
    assert target.looks == 3


def test_other_units_are_another_question() -> None:
    lookout, _, targets = bench(agile=Counting(can_watch=True))
    look(lookout)
    (driver,) = lookout.world.drivers.values()
    driver.observe([], [])
    assert targets["agile"].looks == 2


def test_who_asks_to_stop_is_not_kept_waiting() -> None:
    lookout, _, _ = bench(stable=Counting())
    look(lookout)
    stop = Stop()
    stop.ask()
    assert not lookout.wait(stop)
