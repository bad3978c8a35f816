"""What is told while something is waited for, and what ends a wait at once; only pods are simulated."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from orchestrator.model.outcome import Result
from tests.agile.estates import Estate, manifests, unit

pytestmark = pytest.mark.lab

SHOP = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: waitings.test.dev}
spec:
  group: test.dev
  names: {kind: Waiting, plural: waitings}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: test.dev/v1
kind: Waiting
metadata: {name: one, namespace: condition}
spec: {size: 1}
"""


def pods(name: str, becomes: str = "", **spec: Any) -> dict[str, Any]:
    annotations = {"lab.orchestrator.dev/pod": becomes} if becomes else {}
    containers = [{"name": "main", "image": f"acme/{name}:1"}]
    return {
        "metadata": {"labels": {"app": name}, "annotations": annotations},
        "spec": {"containers": containers, **spec},
    }


def deployment(name: str, template: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "waiting"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }


def job(name: str, template: dict[str, Any], **spec: Any) -> dict[str, Any]:
    template = {**template, "spec": {**template["spec"], "restartPolicy": "Never"}}
    meta = {"name": name, "namespace": "waiting"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": template, **spec}}


def test_the_error_carries_why_and_what_is_hopeless_ends_the_wait_at_once(estate: Estate) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "waiting"}}
    limit = unit({**quota, "spec": {"hard": {"limits.memory": "1Gi"}, "scopes": ["NotTerminating"]}})
    estate.converge([limit])
    small = {"containers": [{"name": "main", "image": "x", "resources": {"limits": {"memory": "1Mi"}}}]}
    greedy = {"containers": [{"name": "main", "image": "x", "resources": {"limits": {"memory": "2Gi"}}}]}
    late = deployment("late", pods("late", "image-pull-error", **small), progressDeadlineSeconds=1)
    long, short = 300, 4
    units = [
        unit(deployment("crash", pods("crash", "crash-loop", **small)), timeout=long),
        unit(late, timeout=long),
        unit(job("failing", pods("failing", "image-pull-error", **small), activeDeadlineSeconds=1), timeout=long),
        unit(deployment("pull", pods("pull", "image-pull-error", **small)), timeout=short),
        unit(deployment("quota", pods("quota", **greedy)), timeout=short),
        unit(deployment("nowhere", pods("nowhere", **small, nodeSelector={"disk": "such"})), timeout=short),
    ]
    outcomes = {name.rpartition("/")[2]: outcome for name, outcome in estate.apply([limit, *units]).items()}
    assert {outcome.result for outcome in outcomes.values()} == {Result.FAILED}
    said = {
        "crash": "container main: CrashLoopBackOff (the container ends as soon as it has started; exit code 1, Error",
        "late": "has timed out progressing",
        "failing": "Job was active longer than specified deadline",
        "pull": "container main: ErrImagePull (failed to pull image",
        "quota": "exceeded quota: q, requested: limits.memory=2Gi",
        "nowhere": "didn't match Pod's node affinity/selector",
    }
    assert {name: text in outcomes[name].message for name, text in said.items()} == dict.fromkeys(said, True), outcomes
    assert all("not ready after" not in outcomes[name].message for name in ("crash", "late", "failing"))
    assert any("container main: ErrImagePull" in told for told in estate.told)  # while it was waited for
    mended = [unit(deployment("crash", pods("crash", **small)), timeout=20)]
    assert {o.result for o in estate.apply([limit, *mended]).values()} == {
        Result.DONE
    }  # the old revision's pods do not count


def test_a_condition_over_the_live_object_is_waited_for_and_says_what_it_waits_for(estate: Estate) -> None:
    definition, thing = manifests(SHOP)
    condition = 'object.status.phase == "Running"'
    waiting = unit(thing, ready=condition, timeout=20)
    planned = list(estate.plan([unit(definition), waiting]).values())  # both in one run: the kind is not served yet

    def act() -> None:
        for phase in ("Starting", "Running"):
            done.wait(1.2)
            patch = json.dumps({"status": {"phase": phase}})
            estate.kubectl(
                "-n",
                "condition",
                "patch",
                "waiting.test.dev",
                "one",
                "--subresource=status",
                "--type=merge",
                "-p",
                patch,
            )

    done = threading.Event()
    outcomes: dict[str, Any] = {}
    run = threading.Thread(target=lambda: outcomes.update(estate.do(planned)))
    run.start()
    while run.is_alive() and "waiting.test.dev/one" not in _there(estate):
        done.wait(0.2)
    assert run.is_alive(), outcomes
    act()
    run.join()
    assert {o.result for o in outcomes.values()} == {Result.DONE}, outcomes
    assert f'waiting: waits for {condition} (Key not found in map : "status")' in estate.told
    assert estate.plan([unit(definition), waiting]) == {}
    other = unit(thing, ready='object.status.phase == "Closed"')
    (change,) = estate.plan([unit(definition), other]).values()
    assert (change.action, change.reason) == ("wait", 'waits for object.status.phase == "Closed"')


def _there(estate: Estate) -> str:
    try:
        return estate.kubectl("-n", "condition", "get", "waitings.test.dev", "-o", "name")
    except AssertionError:
        return ""
