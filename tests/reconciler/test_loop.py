"""The loop: what it heals, what it only reports, and that one site's trouble is never another's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import pytest

from orchestrator.errors import DriverError, OrchestratorError
from orchestrator.execution.stop import Stop
from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change, Plan
from orchestrator.reconciler.bell import Bell
from orchestrator.reconciler.loop import healing, reconcile

AGILE = Address.parse("s/p/agile/web/Deployment.apps/n/web")
STABLE = Address.parse("s/p/stable/db/configuration/a")


def plan_of(*changes: Change) -> Plan:
    return Plan("e", "id", changes)


def drift(address: Address) -> Change:
    return Change(address, Action.UPDATE, "drifted: x", wave=1, drift=True)


def test_agile_drift_is_healed_and_stable_drift_only_reported() -> None:
    plan, held_back = healing(plan_of(drift(AGILE), drift(STABLE)))
    assert [change.address for change in plan.acting] == [AGILE]
    assert [change.address for change in held_back] == [STABLE]
    assert "reported only" in next(c.reason for c in plan.changes if c.address == STABLE)


def test_what_the_documents_ask_for_is_applied_in_both_modes() -> None:
    asked = plan_of(replace(drift(STABLE), drift=False), replace(drift(AGILE), drift=False))
    plan, held_back = healing(asked)
    assert plan == asked
    assert held_back == ()


class Sites:
    """A cycle over sites of which some are in trouble; applies are counted."""

    def __init__(self, *broken: str, unreadable: bool = False) -> None:
        self.broken, self.unreadable = broken, unreadable
        self.applied: list[str] = []
        self.troubles: dict[str, str] = {}
        self.site = ""

    def sites(self) -> list[str]:
        if self.unreadable:
            raise DriverError("the documents cannot be read")
        return ["a", "b", "c"]

    @contextmanager
    def visit(self, site: str) -> Iterator[Visit]:
        yield Visit(self, site)

    def trouble(self, site: str, error: OrchestratorError) -> None:
        self.troubles[site] = error.message


class Visit:
    def __init__(self, sites: Sites, site: str) -> None:
        self.all, self.site = sites, site

    def plan(self) -> Plan:
        if self.site in self.all.broken:
            raise DriverError("no way in")
        return plan_of(drift(AGILE))

    def tell(self, plan: Plan, held_back: tuple[Change, ...]) -> None: ...

    def apply(self, plan: Plan) -> None:
        self.all.applied.append(self.site)


def test_one_sites_trouble_is_told_and_the_others_are_done() -> None:
    sites = Sites("b")
    reconcile(sites, every=1, parallel=2, stop=Stop(), once=True)
    assert sorted(sites.applied) == ["a", "c"]
    assert sites.troubles == {"b": "no way in"}


def test_documents_that_cannot_be_read_are_told_and_nothing_is_done() -> None:
    sites = Sites(unreadable=True)
    reconcile(sites, every=1, parallel=2, stop=Stop(), once=True)
    assert sites.applied == []
    assert sites.troubles == {"": "the documents cannot be read"}


def test_it_goes_round_until_it_is_asked_to_stop() -> None:
    sites, stop = Sites(), Stop()

    class Counting(Sites):
        rounds = 0

        def sites(self) -> list[str]:
            self.rounds += 1
            if self.rounds == 3:
                stop.ask()
            return super().sites()

    sites = Counting()
    reconcile(sites, every=0.01, parallel=1, stop=stop)
    assert sites.rounds == 3
    assert {*sites.applied} == {"a", "b", "c"}


def test_a_site_that_is_rung_for_is_visited_before_its_turn_and_alone() -> None:
    stop, bell = Stop(), Bell()

    class Once(Sites):
        def visit(self, site: str) -> AbstractContextManager[Visit]:
            if len(self.applied) == 3:
                stop.ask()
            return super().visit(site)

    sites = Once()
    ringer = threading.Timer(0.3, bell.ring, ["b"])
    ringer.start()
    reconcile(sites, every=3600, parallel=3, stop=stop, bell=bell)
    ringer.join()
    assert sorted(sites.applied) == ["a", "b", "b", "c"]


def test_a_fault_of_ours_ends_the_loop() -> None:
    class Faulty(Sites):
        def visit(self, site: str) -> AbstractContextManager[Visit]:
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        reconcile(Faulty(), every=3600, parallel=2, stop=Stop())


def test_who_keeps_changing_something_is_visited_less_and_less_often() -> None:
    now = [1000.0]
    bell = Bell(longest=6, clock=lambda: now[0])
    waits = []
    for _ in range(5):
        bell.ring("a")
        began = now[0]
        while bell.due() == []:
            now[0] += 0.5
        waits.append(now[0] - began)
        bell.visited("a", changed=True)
    assert waits == [0, 1, 2, 4, 6]
    now[0] += 120
    bell.ring("a")
    assert bell.due() == ["a"]
    bell.visited("a", changed=True)
    bell.ring("a")
    bell.ring("b")
    assert bell.due() == ["b"]
    now[0] += 1
    assert bell.due() == ["a"]
    assert bell.due() == []
