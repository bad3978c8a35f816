"""Who stays behind to watch between two visits, and when somebody else takes its place."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from orchestrator.cli.sentries import Sentries
from orchestrator.model.address import Address, Mode
from orchestrator.model.change import Action, Change, Plan


class Driver:
    def __init__(self, *, can_watch: bool = True) -> None:
        self.can_watch = can_watch
        self.closed = False
        self.changed: Callable[[], None] = lambda: None

    def watch(self, changed: Callable[[], None]) -> bool:
        self.changed = changed
        return self.can_watch

    def close(self) -> None:
        self.closed = True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def visit(sentries: Sentries, driver: Driver, *kinds: str, document: str = "{}", mode: Mode = Mode.AGILE) -> None:
    changes = [Change(Address("a", "p", Mode.AGILE, "w", kind, "n/x"), Action.NONE, "") for kind in kinds]
    model = SimpleNamespace(model_dump_json=lambda: document)
    loaded = SimpleNamespace(sites={"a": SimpleNamespace(model=model)})
    post = sentries.post("a, b")
    post.saw(cast(Any, loaded), Plan("e", "id", tuple(changes)))
    post.end("a", mode, cast(Any, driver))


def test_the_first_one_stays_until_there_is_something_else_to_watch() -> None:
    rung: list[str] = []
    clock = Clock()
    sentries = Sentries(rung.append, clock)
    first, second, third, fourth, fifth = (Driver() for _ in range(5))
    visit(sentries, first, "Secret")
    visit(sentries, second, "Secret")
    assert (first.closed, second.closed) == (False, True)
    first.changed()
    assert rung == ["a, b"]
    visit(sentries, third, "Secret", "Service")
    visit(sentries, fourth, "Secret", "Service", document="another")
    clock.now += 3600
    visit(sentries, fifth, "Secret", "Service", document="another")
    assert [each.closed for each in (first, third, fourth, fifth)] == [True, True, True, False]
    sentries.keep_only(["c"])
    assert fifth.closed


def test_what_cannot_watch_or_has_not_been_seen_is_closed() -> None:
    sentries = Sentries(lambda group: None)
    blind, stable, unseen = Driver(can_watch=False), Driver(), Driver()
    visit(sentries, blind, "Secret")
    visit(sentries, stable, "Secret", mode=Mode.STABLE)
    visit(sentries, unseen)
    assert (blind.closed, stable.closed, unseen.closed) == (True, True, True)
