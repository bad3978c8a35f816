"""What every store must do, whatever lies below it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import LeaseHeldError, UsageError
from orchestrator.model.address import Address
from orchestrator.model.outcome import Outcome, Result
from orchestrator.model.record import Record
from orchestrator.model.values import Secret, Unknown
from orchestrator.state import Store, open_store
from tests.state.conftest import CHANGE, PLAN, WEB, Clock

OTHER = Address.parse("b/shop/stable/db/configuration/db-0")


def record(address: Address = WEB, **fields: Any) -> Record:
    known: dict[str, Any] = {
        "digest": "d1",
        "identity": "x",
        "inputs": {"vars.port": 6379},
        "facts": {"address": "10.0.0.1"},
        "spec": {"remove": None},
        "uid": "u1",
        "blueprint": "webshop 1.4.0",
        "protected": "shop.yaml:1:2",
        "run": 3,
        "seen_at": 12.5,
    }
    return Record(address, **{**known, **fields})


def test_records_come_back_as_they_were(store: Store) -> None:
    store.save(record(), None)
    store.save(record(OTHER), None)
    assert store.records() == {WEB: record(), OTHER: record(OTHER)}
    assert store.records("b") == {OTHER: record(OTHER)}
    store.save(record(digest="d2"), None)
    assert store.records()[WEB].digest == "d2"
    store.forget(WEB, None)
    assert set(store.records()) == {OTHER}


def test_no_secret_gets_into_the_file(store: Store, tmp_path: Path) -> None:
    canary = Secret("canary-5ecret")
    store.save(record(inputs={"a": canary, "b": [Unknown()]}, facts={"c": canary}, spec={"d": {"e": canary}}), None)
    store.remember_place("s", {"token": canary})
    store.save_outputs("s", "shop", {"password": canary, "address": "10.0.0.1"})
    assert store.outputs() == {("s", "shop"): {"password": "(secret)", "address": "10.0.0.1"}}
    assert store.places() == {"s": {"token": "(secret)"}}
    assert store.records()[WEB].inputs == {"a": "(secret)", "b": ["(known later)"]}
    for file in (tmp_path / ".orchestrator").iterdir():
        assert b"canary" not in file.read_bytes()


def test_a_run_is_journaled_step_by_step(store: Store, clock: Clock) -> None:
    run = store.begin_run("apply", PLAN)
    lease = store.take("s", "me", run, 60)
    step = store.intend(run, CHANGE, lease)
    [begun] = store.run(run).steps
    assert (begun.address, begun.action, begun.reason, begun.wave) == (str(WEB), "update", CHANGE.reason, 1)
    assert (begun.ended, begun.result) == (None, "")
    clock.now += 5
    outcome = Outcome(WEB, Result.FAILED, "no such file", task="Settings", where="db.yaml:3", log="all of it")
    store.finish(step, outcome, lease)
    store.end_run(run, "failed", {"failed": 1})
    found = store.run(run)
    assert (found.kind, found.result, dict(found.counts)) == ("apply", "failed", {"failed": 1})
    assert (found.started, found.ended) == (1000.0, 1005.0)
    assert found.steps[0].message == 'at "Settings" (db.yaml:3): no such file'
    assert store.log(run, str(WEB)) == "all of it"
    assert store.log(run, "s/other") is None
    assert store.planned(run)["changes"][0]["address"] == str(WEB)
    json.dumps(store.planned(run))


def test_runs_are_listed_newest_first_and_numbers_are_never_used_twice(store: Store) -> None:
    numbers = [store.begin_run("apply", PLAN) for _ in range(3)]
    assert numbers == sorted(set(numbers))
    assert [run.run for run in store.runs(2)] == numbers[:0:-1]
    with pytest.raises(UsageError, match="there is no run 99"):
        store.run(99)


def test_last_runs_are_those_that_touched_a_site(store: Store) -> None:
    first = store.begin_run("apply", PLAN)
    lease = store.take("s", "me", first, 60)
    store.intend(first, CHANGE, lease)
    store.begin_run("apply", PLAN)
    assert {site: run.run for site, run in store.last_runs().items()} == {"s": first}


def test_a_run_without_end_is_interrupted_unless_it_holds_a_lease(store: Store, clock: Clock) -> None:
    run = store.begin_run("apply", PLAN)
    lease = store.take("s", "me", run, 60)
    store.intend(run, CHANGE, lease)
    assert store.run(run).result == ""
    assert store.unfinished() == []
    clock.now += 61
    assert store.run(run).result == "interrupted"
    [left] = store.unfinished()
    assert [step.address for step in left.steps] == [str(WEB)]
    assert left.counts == {"not ended": 1}


def test_a_site_is_changed_by_one_at_a_time(store: Store, clock: Clock) -> None:
    lease = store.take("s", "ann@there pid 7 started 1", 1, 60)
    clock.now += 30
    with pytest.raises(LeaseHeldError, match=r"s is being applied to by ann@there \(pid 7\), since 30 s ago"):
        store.take("s", "bob", 2, 60)
    store.take("b", "bob", 2, 60)
    store.renew(lease, 60)
    clock.now += 59
    with pytest.raises(LeaseHeldError, match="orchestrator unlock s"):
        store.take("s", "bob", 2, 60)
    held = store.lease("s")
    assert held is not None
    assert (held.holder, held.since) == (lease.holder, 1000.0)
    store.release(lease)
    assert store.lease("s") is None
    assert store.take("s", "bob", 2, 60).token > lease.token


def test_a_stale_writers_next_write_fails_and_changes_nothing(store: Store, clock: Clock) -> None:
    run = store.begin_run("apply", PLAN)
    stale = store.take("s", "ann", run, 60)
    step = store.intend(run, CHANGE, stale)
    clock.now += 61
    now = store.take("s", "bob", run + 1, 60)
    assert now.token > stale.token
    with pytest.raises(LeaseHeldError, match="bob has it now"):
        store.intend(run, CHANGE, stale)
    with pytest.raises(LeaseHeldError):
        store.finish(step, Outcome(WEB, Result.DONE), stale)
    with pytest.raises(LeaseHeldError):
        store.save(record(), stale)
    with pytest.raises(LeaseHeldError):
        store.forget(WEB, stale)
    with pytest.raises(LeaseHeldError):
        store.renew(stale, 60)
    store.release(stale)
    assert store.lease("s") == now
    assert [step.ended for step in store.run(run).steps] == [None]
    assert store.records() == {}


def test_a_lease_that_was_given_back_or_taken_anew_writes_no_more(store: Store, clock: Clock) -> None:
    given_back = store.take("s", "me", 1, 60)
    store.release(given_back)
    with pytest.raises(LeaseHeldError):
        store.save(record(), given_back)
    old = store.take("s", "me", 1, 60)
    clock.now += 61
    store.take("s", "me", 2, 60)
    with pytest.raises(LeaseHeldError):
        store.save(record(), old)


def test_unlock_shuts_the_holder_out(store: Store) -> None:
    lease = store.take("s", "ann", 1, 60)
    store.unlock("s")
    assert store.lease("s") is None
    with pytest.raises(LeaseHeldError, match="it was unlocked"):
        store.save(record(), lease)
    store.unlock("nowhere")


def test_one_that_only_looks_writes_nothing_while_somebody_applies(store: Store) -> None:
    lease = store.take("s", "ann", 1, 60)
    store.save(record(), lease)
    store.save(record(digest="looked"), None)
    store.forget(WEB, None)
    assert store.records() == {WEB: record()}
    store.save(record(OTHER), None)
    assert OTHER in store.records()


def test_what_is_written_together_is_written_whole_or_not_at_all(store: Store) -> None:
    with store.together():
        store.save(record(), None)
        store.save(record(OTHER), None)
    assert set(store.records()) == {WEB, OTHER}

    def forgetting() -> None:
        with store.together():
            store.forget(WEB, None)
            store.forget(OTHER, None)
            raise KeyError

    with pytest.raises(KeyError):
        forgetting()
    assert set(store.records()) == {WEB, OTHER}
    store.forget(WEB, None)  # and the next write is one of its own again
    assert set(store.records()) == {OTHER}


def test_several_sites_threads_write_at_once(store: Store) -> None:
    run = store.begin_run("apply", PLAN)

    def site(number: int) -> None:
        address = Address.parse(f"site-{number}/shop/agile/web/Service/web/web")
        lease = store.take(address.site, "me", run, 60)
        for _ in range(10):
            step = store.intend(run, CHANGE, lease)
            store.save(record(address), lease)
            store.finish(step, Outcome(address, Result.DONE), lease)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(site, range(8)))
    assert len(store.records()) == 8
    assert [step.result for step in store.run(run).steps] == ["done"] * 80


def test_what_was_written_is_there_when_opened_again(store: Store, tmp_path: Path) -> None:
    store.save(record(), None)
    store.remember_place("s", {"a": 1})
    store.remember_place("s", {"a": 2})
    with open_store(tmp_path) as again:
        assert again.records() == {WEB: record()}
        assert again.places() == {"s": {"a": 2}}
