"""The agile driver on a real API server with the real Pulumi engine."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Absent, Unreachable
from orchestrator.model.outcome import Lease, Result
from orchestrator.model.unit import Unit
from orchestrator.model.values import Secret
from orchestrator.modes.agile.client import api
from tests.agile.estates import CANARY, Estate, manifests, unit

pytestmark = pytest.mark.lab

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NS, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: docker.io/library/nginx:1.29
          env: [{name: GREETING, value: hello}]
          ports: [{containerPort: 80}]
          resources: {requests: {cpu: "1", memory: 1024Mi}, limits: {cpu: 2000m}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NS}
spec:
  selector: {app: web}
  ports: [{port: 80}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: NS}
data: {a: "1"}
"""


def web(namespace: str, **replaced: str) -> list[Unit]:
    text = WEB.replace("NS", namespace)
    for old, new in replaced.items():
        text = text.replace(old, new)
    return [unit(m) for m in manifests(text)]


def test_objects_are_created_in_a_namespace_that_was_missing_and_the_second_look_finds_no_difference(
    estate: Estate,
) -> None:
    units = web("first")
    assert set(estate.actions(units).values()) == {"create"}
    estate.converge(units)
    assert estate.driver.spent().pulumi_runs == 1


def test_common_kinds_show_no_difference_after_an_apply(estate: Estate) -> None:
    text = (Path(__file__).parent / "common_kinds.yaml").read_text().replace("NS", "kinds")
    units = [unit(m, namespace="kinds") for m in manifests(text)]
    outcomes = estate.apply(units)
    assert {o.result for o in outcomes.values()} == {Result.DONE}, outcomes
    left = estate.plan(units)
    assert not left, {name: (c.action, c.reason, c.differences) for name, c in left.items()}
    assert estate.apply([]).keys() == outcomes.keys()
    assert estate.observe([]).units == {}


def test_the_same_kind_in_two_api_versions_shows_no_difference(estate: Estate) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    scaler = {"kind": "HorizontalPodAutoscaler", "metadata": {"name": "one", "namespace": "versions"}}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    common = {"scaleTargetRef": target, "maxReplicas": 3}
    one = {**scaler, "apiVersion": "autoscaling/v1", "spec": {**common, "targetCPUUtilizationPercentage": 50}}
    two = {**scaler, "apiVersion": "autoscaling/v2", "spec": {**common, "metrics": [cpu]}}
    estate.converge([unit(one), unit({**two, "metadata": {"name": "two", "namespace": "versions"}})])
    estate.converge([unit({**two, "metadata": one["metadata"]})])  # and written in another version: the same object


def test_scaling_by_hand_is_blamed_on_who_did_it_and_healed(estate: Estate) -> None:
    units = web("scaled")
    estate.converge(units)
    estate.kubectl("-n", "scaled", "scale", "deployment", "web", "--replicas=5")
    (change,) = estate.plan(units).values()
    assert [(d.path, d.old, d.new, d.by) for d in change.differences] == [("spec.replicas", 5, 2, "kubectl")]
    estate.converge(units)
    assert estate.field("scaled", "deployment/web", "{.spec.replicas}") == "2"


def test_what_others_add_is_left_alone_and_what_is_declared_no_more_goes(estate: Estate) -> None:
    estate.converge(web("added"))
    estate.kubectl("-n", "added", "label", "deployment", "web", "by-hand=yes")
    assert estate.plan(web("added")) == {}
    without = web("added", **{"env: [{name: GREETING, value: hello}]": "env: []"})
    (change,) = estate.plan(without).values()
    assert [d.path for d in change.differences] == ["spec.template.spec.containers[web].env[GREETING]"]
    estate.converge(without)
    assert estate.field("added", "deployment/web", "{.metadata.labels.by-hand}") == "yes"
    assert estate.field("added", "deployment/web", "{.spec.template.spec.containers[0].env}") == ""


def test_an_object_that_is_deleted_by_hand_is_made_again_although_pulumi_knows_it(estate: Estate) -> None:
    units = web("gone")
    estate.converge(units)
    estate.kubectl("-n", "gone", "delete", "configmap", "settings")
    assert estate.actions(units) == {"ConfigMap/gone/settings": "create"}
    estate.converge(units)


def test_an_object_that_is_not_ours_is_refused_until_it_is_adopted(estate: Estate) -> None:
    estate.kubectl("create", "namespace", "theirs")
    estate.kubectl("-n", "theirs", "create", "configmap", "settings", "--from-literal=a=0")
    units = [one for one in web("theirs") if one.address.kind == "ConfigMap"]
    assert estate.actions(units) == {"ConfigMap/theirs/settings": "conflict"}
    absent = replace(estate.plan(units)["ConfigMap/theirs/settings"], action=Action.CREATE, seen=Absent())
    (outcome,) = estate.do([absent]).values()
    assert (outcome.result, "not ours" in outcome.message) == (Result.FAILED, True)
    assert estate.field("theirs", "configmap/settings", "{.data.a}") == "0"
    assert {o.result for o in estate.apply(units, adopt=True).values()} == {Result.DONE}
    assert estate.plan(units) == {}
    assert estate.field("theirs", "configmap/settings", "{.data.a}") == "1"
    estate.apply([])
    assert "theirs" in estate.kubectl("get", "namespaces", "-o", "name")  # made by others: never removed
    estate.kubectl("delete", "--wait=false", "namespace", "theirs")


def test_pruning_works_when_all_local_state_is_lost(estate: Estate, estate_again: Callable[[], Estate]) -> None:
    units = web("pruned")
    estate.converge(units)
    other = estate_again()
    assert other.plan(units) == {}
    assert other.actions(units[:1]) == {"Service/pruned/web": "delete", "ConfigMap/pruned/settings": "delete"}
    outcomes = other.apply(units[:1])
    assert {o.result for o in outcomes.values()} == {Result.DONE}, outcomes
    assert other.plan(units[:1]) == {}
    other.apply([])
    assert "pruned" not in other.kubectl("get", "namespaces", "-o", "name")
    assert other.observe([]).units == {}


def test_a_renamed_workload_moves_its_objects_and_leaves_no_inventory(estate: Estate) -> None:
    estate.converge(web("moved"))
    uid = estate.field("moved", "deployment/web", "{.metadata.uid}")
    renamed = [unit(dict(u.spec["object"]), workload="front") for u in web("moved")]
    assert set(estate.actions(renamed).values()) == {"update"}
    estate.converge(renamed)
    assert estate.field("moved", "deployment/web", "{.metadata.uid}") == uid
    inventories = estate.kubectl("-n", "moved", "get", "configmaps", "-l", "orchestrator.dev/inventory", "-o", "name")
    assert inventories.split() == ["configmap/orchestrator.lab.shop.front"]


def test_an_immutable_field_replaces_the_object(estate: Estate) -> None:
    units = web("replaced")[:1]
    estate.converge(units)
    uid = estate.field("replaced", "deployment/web", "{.metadata.uid}")
    other = web("replaced", **{"app: web": "app: shop"})[:1]
    assert estate.actions(other) == {"Deployment.apps/replaced/web": "replace"}
    estate.converge(other)
    assert estate.field("replaced", "deployment/web", "{.metadata.uid}") != uid


def test_what_the_server_rejects_fails_at_its_place_and_the_rest_goes_on(estate: Estate) -> None:
    units = web("partly", **{"port: 80}": "port: 800000}"})
    outcomes = estate.apply(units)
    service = outcomes.pop("Service/partly/web")
    assert (service.result, service.where) == (Result.FAILED, "web.yaml:1:1")
    assert "800000" in service.message
    assert {o.result for o in outcomes.values()} == {Result.DONE}


def test_a_namespace_that_is_being_deleted_is_named(estate: Estate) -> None:
    estate.kubectl("create", "namespace", "ending")
    estate.kubectl(
        "apply",
        "-f",
        "-",
        stdin="{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: ending, finalizers: [a.b/c]}}",
    )
    estate.kubectl("delete", "--wait=false", "namespace", "ending")
    outcomes = estate.apply(web("ending"))
    assert {o.result for o in outcomes.values()} == {Result.FAILED}
    assert all("namespace ending is being deleted" in o.message for o in outcomes.values()), outcomes
    estate.kubectl(
        "-n",
        "ending",
        "patch",
        "configmap",
        "x",
        "--type=json",
        "-p",
        '[{"op":"remove","path":"/metadata/finalizers"}]',
    )


def test_a_namespace_with_something_of_others_in_it_stays(estate: Estate) -> None:
    units = web("shared")
    estate.converge(units)
    estate.kubectl("-n", "shared", "create", "configmap", "theirs")
    estate.apply([])
    assert estate.kubectl("-n", "shared", "get", "configmaps", "-o", "name").split() == [
        "configmap/kube-root-ca.crt",
        "configmap/theirs",
    ]


def test_a_declared_namespace_is_not_deleted_with_something_of_others_in_it(estate: Estate) -> None:
    units = [unit({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "declared"}}), *web("declared")[2:]]
    estate.converge(units)
    estate.kubectl("-n", "declared", "create", "configmap", "theirs")
    outcomes = estate.apply([])
    assert outcomes["ConfigMap/declared/settings"].result == Result.DONE
    assert "ConfigMap theirs" in outcomes["Namespace/declared"].message
    estate.kubectl("-n", "declared", "delete", "configmap", "theirs")
    assert {o.result for o in estate.apply([]).values()} == {Result.DONE}


def test_what_never_becomes_ready_fails_after_its_time_with_the_reason_and_is_waited_for_again(estate: Estate) -> None:
    text = WEB.replace("NS", "stuck").replace(
        "spec:\n      containers", "spec:\n      nodeSelector: {disk: such}\n      containers"
    )
    units = [unit(m, timeout=3) for m in manifests(text)][:1]
    (outcome,) = estate.apply(units).values()
    assert outcome.result == Result.FAILED
    assert "not ready after 3 s: 0 of 2 replicas" in outcome.message
    assert any("didn't match" in told for told in estate.told), estate.told
    assert estate.actions(units) == {"Deployment.apps/stuck/web": "wait"}
    runs = estate.driver.spent().pulumi_runs
    (outcome,) = estate.apply(units).values()
    assert outcome.result == Result.FAILED
    assert estate.driver.spent().pulumi_runs == runs  # waiting needs no Pulumi


def test_a_secret_is_in_no_file_and_no_message(estate: Estate) -> None:
    secret = Secret(CANARY, "env PASSWORD")
    texts = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login", "namespace": "hush"}}
    container = {"name": "web", "image": "nginx", "env": [{"name": "PASSWORD", "value": secret}]}
    pods = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "hush"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": pods},
    }
    broken = {**texts, "metadata": {"name": "broken", "namespace": "hush"}, "type": secret, "data": {"x": secret}}
    units = [unit({**texts, "stringData": {"password": secret}}), unit(deployment)]
    outcomes = estate.apply([*units, unit(broken)])
    assert outcomes["Secret/hush/broken"].result == Result.FAILED
    assert estate.field("hush", "secret/login", "{.data.password}") == base64.b64encode(CANARY.encode()).decode()
    estate.kubectl("-n", "hush", "set", "env", "deployment/web", "PASSWORD=other")
    planned = estate.plan(units)
    (difference,) = planned["Deployment.apps/hush/web"].differences
    assert (str(difference.old), str(difference.new)) == ("(secret)", "(secret)")
    estate.converge(units)
    everything = f"{outcomes} {planned} {estate.told} {estate.observe(units)}"
    for text in (CANARY, base64.b64encode(CANARY.encode()).decode()):
        assert text not in everything
        for file in estate.scratch.rglob("*"):
            assert not file.is_file() or text.encode() not in file.read_bytes(), file
    state = next(estate.scratch.rglob("lab.shop.web.json")).read_text()
    assert "ciphertext" in state


def test_state_of_pulumi_that_cannot_be_decrypted_is_made_anew(
    estate: Estate, estate_again: Callable[..., Estate]
) -> None:
    units = web("lost")
    estate.converge(units)
    other = estate_again(scratch=estate.scratch, passphrase="another")
    changed = web("lost", hello="goodbye")
    other.converge(changed)
    assert other.field("lost", "deployment/web", "{.spec.template.spec.containers[0].env[0].value}") == "goodbye"


def test_damaged_state_of_pulumi_is_made_anew(estate: Estate) -> None:
    estate.converge(web("damaged"))
    next(estate.scratch.rglob("lab.shop.web.json")).write_text('{"version": 3, "checkpoint": ')
    estate.converge(web("damaged", hello="goodbye"))


def test_workloads_are_applied_side_by_side(estate: Estate) -> None:
    many = [[unit(m, workload=f"w{n}") for m in manifests(WEB.replace("NS", f"side-{n}"))] for n in range(4)]
    planned = list(estate.plan([one for units in many for one in units]).values())
    groups = [[c for c in planned if c.address.workload == f"w{n}"] for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        outcomes = [o for done in pool.map(estate.do, groups) for o in done.values()]
    assert [o.result for o in outcomes] == [Result.DONE] * 12, outcomes
    assert estate.plan([one for units in many for one in units]) == {}


def test_a_site_s_lease_is_one_holder_s_at_a_time(estate: Estate, estate_again: Callable[..., Estate]) -> None:
    other, now = estate_again(), time.time()
    mine = Lease("lab", "ann@elsewhere pid 1 started 2", 7, 1, now, now + 60)
    theirs = Lease("lab", "bob@elsewhere pid 3 started 4", 8, 2, now, now + 60)
    assert estate.driver.take(mine) is None
    assert estate.driver.take(mine) is None  # renewed
    assert other.driver.take(theirs) == mine
    (refused, *_) = other.apply(web("leased")).values()
    assert (refused.result, "ann@elsewhere (pid 1)" in refused.message) == (Result.FAILED, True)
    other.driver.release(theirs)  # not theirs: stays
    assert other.driver.take(theirs) == mine
    estate.driver.release(mine)
    assert other.driver.take(theirs) is None
    other.driver.unlock()
    dead = subprocess.Popen(["true"])
    dead.wait()
    assert estate.driver.take(replace(mine, holder=f"ann@{socket.gethostname()} pid {dead.pid} started 5")) is None
    assert other.driver.take(theirs) is None  # a dead holder on this computer does not keep it
    assert estate.driver.take(replace(mine, until=now - 1)) == theirs
    other.driver.release(theirs)


def test_a_cluster_that_is_down_is_one_cause_for_all(
    estate: Estate, estate_again: Callable[..., Estate], tmp_path: Path
) -> None:
    text = yaml.safe_load(estate.driver._site.kubeconfig.read_text())
    text["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "down").write_text(yaml.safe_dump(text))
    down, now = estate_again(kubeconfig=tmp_path / "down"), time.time()
    seen = list(down.observe(web("down")).units.values())
    assert {s.cause for s in seen if isinstance(s, Unreachable)} == {
        "Kubernetes API https://127.0.0.1:1: connection refused"
    }
    assert len(seen) == 3
    assert down.driver.take(Lease("lab", "ann@elsewhere pid 1 started 2", 7, 1, now, now + 60)) is None
    created = [Change(u.address, Action.CREATE, "", unit=u, seen=Absent()) for u in web("down")]
    assert {o.result for o in down.do(created).values()} == {Result.UNREACHABLE}


def test_a_cluster_that_answers_too_slowly_is_held_and_seen_again_when_it_answers(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = web("slow")[:1]
    estate.observe(units)
    pid = api_server(estate)
    monkeypatch.setattr(api, "READ_SECONDS", 0.5)
    os.kill(pid, signal.SIGSTOP)
    try:
        (seen,) = estate.observe(units).units.values()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert isinstance(seen, Unreachable)
    assert "no answer within" in seen.cause
    monkeypatch.undo()
    assert estate.actions(units) == {"Deployment.apps/slow/web": "create"}


def api_server(estate: Estate) -> int:
    """The process of this lab's API server."""
    server = yaml.safe_load(estate.driver._site.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    port = f"--secure-port={server.rpartition(':')[2]}"
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if port in (folder / "cmdline").read_text().split("\0"):
                return int(folder.name)
    raise AssertionError(f"nothing listens with {port}")


def test_a_cluster_that_another_authority_vouches_for_is_not_trusted(
    estate: Estate, estate_again: Callable[..., Estate], tmp_path: Path
) -> None:
    text = yaml.safe_load(estate.driver._site.kubeconfig.read_text())
    text["clusters"][0]["cluster"].pop("certificate-authority-data")
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(text))
    (seen,) = estate_again(kubeconfig=tmp_path / "kubeconfig").observe(web("x")[:1]).units.values()
    assert isinstance(seen, Unreachable)
    assert "certificate is not trusted" in seen.cause


def test_refused_credentials_are_unreachable_not_absent(
    estate: Estate, estate_again: Callable[..., Estate], tmp_path: Path
) -> None:
    text = yaml.safe_load(estate.driver._site.kubeconfig.read_text())
    text["users"][0]["user"]["token"] = "wrong"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(text))
    (seen,) = estate_again(kubeconfig=tmp_path / "kubeconfig").observe(web("x")[:1]).units.values()
    assert isinstance(seen, Unreachable)
    assert "401" in seen.cause
