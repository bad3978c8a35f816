"""Kustomizations built by the real kubectl: overlays, places, secrets, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.model.values import Secret
from orchestrator.rendering import ProgramRenderer
from tests.desired.estates import PLACEMENT, Made, Make

pytestmark = pytest.mark.lab

PLACED = PLACEMENT.replace("values: {}", "values: {password: {secretRef: {env: PASSWORD}}}")
PROD = "k/overlays/prod/kustomization.yaml"
SPEC = """
parameters:
  password: {type: secret}
  stage: {type: string, default: prod}
agile:
  shop:
    namespace: shop
    kustomize: k/overlays/${parameters.stage}
    vars: {password: "${parameters.password}", level: debug}
"""
FILES = {
    "k/base/kustomization.yaml": "resources: [web.yaml]\n",
    "k/base/web.yaml": """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: web:1
          envFrom: [{secretRef: {name: web}}, {configMapRef: {name: web}}]
""",
    "k/overlays/prod/kustomization.yaml": """\
namePrefix: prod-
resources: [../../base]
replicas: [{name: web, count: 3}]
secretGenerator:
  - {name: web, envs: [secret.env]}
configMapGenerator:
  - {name: web, literals: [MODE=prod]}
""",
    "k/overlays/prod/secret.env.j2": "PASSWORD={{ password }}\nLEVEL={{ level }}\n",
}


def objects(made: Made, password: str = "pa:ss") -> dict[str, Any]:
    return {u.address.kind: u for u in made.resolve(PASSWORD=password).units}


def test_an_overlay_is_built_once_and_nothing_is_started_for_it_again(
    make: Make, renderers: Callable[[], ProgramRenderer]
) -> None:
    made = make(SPEC, FILES, placement=PLACED)
    made.render = first = renderers()
    found = objects(made)
    deployment = found["Deployment.apps"].spec["object"]
    assert (deployment["metadata"]["name"], deployment["spec"]["replicas"]) == ("prod-web", 3)
    assert "annotations" not in deployment["metadata"]
    assert str(found["Deployment.apps"].source) == "app/k/base/web.yaml:1:1"
    data = found["Secret"].spec["object"]["data"]
    assert data["PASSWORD"] == Secret("cGE6c3M=", "env PASSWORD")
    assert data["LEVEL"] == "ZGVidWc="
    assert first.runs == 1
    other = objects(made, "another")["Secret"]
    assert other.address != found["Secret"].address, "the generated name follows the secret"
    again = make(SPEC, FILES, placement=PLACED)
    again.render = second = renderers()
    assert objects(again)["Deployment.apps"] == found["Deployment.apps"]
    assert second.runs == 0


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (PROD, "resources: [https://example.com/x]\n", "1:13: `https://example.com/x` is remote"),
        (PROD, "resources: [../../../../x]\n", "1:13: `../../../../x` leaves the blueprint's folder"),
        (PROD, "resources: [gone.yaml]\n", "1:13: there is no file or folder `gone.yaml`"),
        ("k/base/web.yaml", "a: [\n", "kustomize: "),
        (PROD, "nonsense: 1\nresources: [../../base]\n", "kustomize: "),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_said_at_its_place(
    make: Make, renderers: Callable[[], ProgramRenderer], file: str, text: str, said: str
) -> None:
    made = make(SPEC, {**FILES, file: text}, placement=PLACED)
    made.render = renderers()
    wrong = [str(each) for each in made.wrong(PASSWORD="pa:ss").diagnostics]
    assert len(wrong) == 1, json.dumps(wrong, indent=1)
    assert said in wrong[0]
    assert "pa:ss" not in wrong[0]
