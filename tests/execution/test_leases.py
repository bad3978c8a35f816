"""The right to change several sites: what one of them is slow at, or fails at, is its own affair."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from orchestrator.errors import DriverError, LeaseHeldError
from orchestrator.execution import leases
from orchestrator.execution.leases import held_leases
from orchestrator.model.address import Mode
from orchestrator.model.outcome import Lease
from tests.execution.memory import Bench, Target

PATIENCE = 10.0  # seconds until what should come by itself is missed


class Asked(Target):
    """A target that does as it is told when its lease is asked for: `on_take` gets how often that was before."""

    def __init__(self, on_take: Callable[[int], object]) -> None:
        super().__init__()
        self.on_take = on_take
        self.times = 0

    def take(self, lease: Lease) -> Lease | None:
        self.times += 1
        self.on_take(self.times - 1)
        return super().take(lease)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Two sites whose leases are renewed all the time."""
    monkeypatch.setattr(leases, "LASTS", 0.03)
    return Bench(lambda there: (), sites=("a", "b"))


def test_a_site_that_gives_its_lease_late_keeps_no_other_waiting(bench: Bench) -> None:
    both = threading.Barrier(2)
    for site in ("a", "b"):
        bench.targets[site, Mode.AGILE] = Asked(lambda before: before or both.wait(PATIENCE))
    with held_leases(bench.world, ("a", "b"), 1) as taken:
        assert sorted(taken) == ["a", "b"]


def test_a_lease_is_renewed_while_another_site_does_not_answer(bench: Bench) -> None:
    silent, renewed = threading.Event(), threading.Event()

    def falls_silent(before: int) -> None:
        if before:
            silent.set()
            renewed.wait(PATIENCE)

    def is_renewed(before: int) -> None:
        if before and silent.is_set():
            renewed.set()

    bench.targets["a", Mode.AGILE] = Asked(falls_silent)
    bench.targets["b", Mode.AGILE] = other = Asked(is_renewed)
    with held_leases(bench.world, ("a", "b"), 1):
        assert silent.wait(PATIENCE)
        assert renewed.wait(PATIENCE / 2), other.times


def test_a_target_that_fails_at_a_renewal_is_asked_again_at_the_next(bench: Bench) -> None:
    again = threading.Event()

    def fails_once(before: int) -> None:
        if before == 1:
            raise DriverError("internal error")
        if before > 1:
            again.set()

    bench.targets["a", Mode.AGILE] = Asked(fails_once)
    with held_leases(bench.world, ("a",), 1):
        assert again.wait(PATIENCE)


def test_where_one_site_is_anothers_the_leases_of_all_are_given_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    monkeypatch.setattr(bench.store, "release", lambda lease: given.append(lease.site))
    bench.targets["b", Mode.STABLE].held_by = Lease("b", "ana@build-3", 7, 1, 0.0, 60.0)
    with pytest.raises(LeaseHeldError, match="b is being applied to by"), held_leases(bench.world, ("a", "b"), 1):
        pass
    assert sorted(given) == ["a", "b"]
