"""What is checked right before something is changed, and what a person with few rights can do; on a real cluster."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from orchestrator.errors import DriverError
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Present, Unreachable
from orchestrator.model.outcome import Lease, Result
from orchestrator.model.unit import Unit
from orchestrator.modes.agile.client import api
from tests.agile.estates import Estate, unit

pytestmark = pytest.mark.lab


def config(namespace: str, *, name: str = "settings", **data: str) -> Unit:
    return unit(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}
    )


def test_what_somebody_changed_after_the_plan_is_not_overwritten(estate: Estate) -> None:
    estate.converge([config("race", a="1", b="1")])
    wanted = config("race", a="2", b="1")
    planned = list(estate.plan([wanted]).values())
    estate.kubectl("-n", "race", "patch", "configmap", "settings", "--type=merge", "-p", '{"data": {"b": "by hand"}}')
    (outcome,) = estate.do(planned).values()
    assert outcome.result == Result.FAILED
    assert "data.b was changed by kubectl-patch since the plan" in outcome.message
    assert estate.field("race", "configmap/settings", "{.data.b}") == "by hand"
    estate.converge([wanted])


def test_what_was_forgotten_stays_and_is_a_conflict_from_then_on(estate: Estate) -> None:
    one = config("forgotten", a="1")
    estate.converge([one])
    (outcome,) = estate.do([Change(one.address, Action.FORGET, "asked for")]).values()
    assert outcome.result == Result.DONE
    assert estate.observe([]).units == {}
    assert set(estate.actions([one]).values()) == {"conflict"}
    assert {o.result for o in estate.apply([one], adopt=True).values()} == {Result.DONE}


def test_what_was_made_anew_since_the_plan_is_not_deleted(estate: Estate) -> None:
    estate.converge([config("anew", a="1")])
    planned = list(estate.plan([]).values())
    live = json.loads(estate.kubectl("-n", "anew", "get", "configmap", "settings", "-o", "json"))
    estate.kubectl("-n", "anew", "delete", "configmap", "settings")
    live["metadata"] = {key: live["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    estate.kubectl("create", "-f", "-", stdin=json.dumps(live))
    (outcome,) = estate.do(planned).values()
    assert (outcome.result, outcome.message) == (Result.FAILED, "was made anew since the plan; plan again")
    assert estate.field("anew", "configmap/settings", "{.data.a}") == "1"
    assert {o.result for o in estate.apply([]).values()} == {Result.DONE}


def test_what_bears_another_address_by_now_is_forgotten_not_deleted(estate: Estate) -> None:
    one = config("elsewhere", a="1")
    estate.converge([one])
    seen = estate.observe([]).units[one.address]
    assert isinstance(seen, Present)
    other = replace(one.address, workload="old")
    (outcome,) = estate.do([Change(other, Action.DELETE, "removed", seen=seen)]).values()
    assert outcome.result == Result.DONE
    assert "belongs to lab/shop/agile/web/ConfigMap/elsewhere/settings" in outcome.message
    assert estate.plan([one]) == {}


def test_what_a_controller_copied_our_stamp_to_is_not_taken_for_ours(estate: Estate) -> None:
    one = config("copied", a="1")
    estate.converge([one])
    live = json.loads(estate.kubectl("-n", "copied", "get", "configmap", "settings", "-o", "json"))
    live["metadata"] = {"name": "copy", "namespace": "copied"} | {
        k: live["metadata"][k] for k in ("labels", "annotations")
    }
    estate.kubectl("create", "-f", "-", stdin=json.dumps(live))
    assert estate.plan([one]) == {}


def test_a_kind_that_the_cluster_does_not_serve_is_named(estate: Estate) -> None:
    shop = unit({"apiVersion": "no.such/v1", "kind": "Shop", "metadata": {"name": "x", "namespace": "default"}})
    assert set(estate.actions([shop]).values()) == {"create"}
    (outcome,) = estate.apply([shop]).values()
    assert (outcome.result, outcome.message) == (Result.FAILED, "the cluster serves no Shop in no.such/v1")


@pytest.fixture
def few_rights(estate: Estate, estate_again: Callable[..., Estate], tmp_path: Path) -> Estate:
    """The same estate as somebody who may edit one namespace and nothing else."""
    estate.kubectl("create", "namespace", "mine")
    estate.kubectl("-n", "mine", "create", "serviceaccount", "ann")
    estate.kubectl("-n", "mine", "create", "rolebinding", "ann", "--clusterrole=edit", "--serviceaccount=mine:ann")
    text = yaml.safe_load(estate.driver._site.kubeconfig.read_text())
    text["users"][0]["user"] = {"token": estate.kubectl("-n", "mine", "create", "token", "ann").strip()}
    (tmp_path / "ann").write_text(yaml.safe_dump(text))
    return estate_again(kubeconfig=tmp_path / "ann")


def test_somebody_with_rights_in_one_namespace_only_can_work_there(estate: Estate, few_rights: Estate) -> None:
    one, elsewhere = config("mine", a="1"), config("default", a="1")
    few_rights.converge([one])
    assert few_rights.actions([config("mine", a="2")]) == {"ConfigMap/mine/settings": "update"}
    seen = few_rights.observe([one, elsewhere]).units[elsewhere.address]
    assert isinstance(seen, Unreachable)
    assert "cannot list configmaps in namespace default" in seen.why
    now = time.time()
    with pytest.raises(DriverError, match=r"allow get, create, update and delete of leases"):
        few_rights.driver.take(Lease("lab", "ann@elsewhere pid 1 started 2", 7, 1, now, now + 60))
    gone = Change(one.address, Action.DELETE, "removed", seen=few_rights.observe([one]).units[one.address])
    assert [o.result for o in few_rights.do([gone]).values()] == [Result.DONE]
    assert estate.observe([]).units == {}
    estate.kubectl("delete", "--wait=false", "namespace", "mine")


def test_a_long_list_is_read_page_by_page(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    units = [config("paged", name=f"c{number}", a="1") for number in range(7)]
    estate.converge(units)
    monkeypatch.setattr(api, "PAGE", 3)
    before = estate.driver.spent().requests
    observed = estate.observe(units)
    assert all(isinstance(observed.units[one.address], Present) for one in units)
    assert estate.driver.spent().requests - before == observed.tally.requests >= 3
    assert estate.plan(units) == {}
