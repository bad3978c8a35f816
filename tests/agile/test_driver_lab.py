"""The agile driver on a real API server with the real Pulumi engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.model.outcome import Result

from tests.agile.estates import Estate, manifests, unit

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


def web(namespace: str, **replace: str) -> list:
    text = WEB.replace("NS", namespace)
    for old, new in replace.items():
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
    claims = [one for one in units if one.address.kind == "PersistentVolumeClaim"]  # the lab binds none
    outcomes = estate.apply([one for one in units if one not in claims])
    assert {o.result for o in outcomes.values()} == {Result.DONE}, outcomes
    left = estate.plan([one for one in units if one not in claims])
    assert not left, {name: (c.action, c.reason, c.differences) for name, c in left.items()}
    assert estate.apply([]).keys() == outcomes.keys()
    assert estate.observe([]).units == {}
