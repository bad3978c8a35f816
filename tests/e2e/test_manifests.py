"""What people write in manifests, on a real cluster: taken as it is meant, or refused at its line."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Estate

pytestmark = pytest.mark.lab

HEAD = "apiVersion: orchestrator/v1alpha1\n"
BLUEPRINT = "blueprints/shop/blueprint.yaml"
WEB = "blueprints/shop/agile/web.yaml"
DOCUMENTS = {
    "orchestrator.yaml": "kind: Estate\nmetadata: {name: manifests, id: %s}\n",
    "site.yaml": "kind: Site\nmetadata: {name: lab, labels: {env: dev}}\nspec: {agile: {cluster: {lab: true}}}\n",
    "shop.yaml": (
        "kind: Placement\nmetadata: {name: shop}\n"
        "spec: {blueprint: ./blueprints/shop, sites: {matchLabels: {env: dev}}}\n"
    ),
    BLUEPRINT: (
        "kind: Blueprint\nmetadata: {name: shop, version: 1.0.0}\n"
        "spec:\n  agile:\n    web: {namespace: here, manifests: [agile/web.yaml]}\n"
    ),
}
# A list, an anchor, a merge, an alias, and what YAML 1.1 would have read as a boolean and in base 60.
AWKWARD = """\
kind: List
apiVersion: v1
items:
  - &first
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: first, labels: &labels {team: shop}}
    data: &data {answer: "NO", time: "1:30", size: "1e3"}
  - <<: *first
    metadata: {name: second, labels: *labels}
    data: {<<: *data, answer: "YES"}
"""
REFUSED = """\
apiVersion: v1
kind: ConfigMap
metadata: {generateName: each-}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: %(long)s}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: labelled
  labels: {team: not a label}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: large}
data: {all: %(large)s}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: first}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: first}
"""


@pytest.fixture
def estate(lab_environment: dict[str, str], tmp_path: Path) -> Iterator[Estate]:
    it = Estate(tmp_path / "estate", dict(lab_environment))
    for name, text in DOCUMENTS.items():
        (it.root / name).parent.mkdir(parents=True, exist_ok=True)
        (it.root / name).write_text(HEAD + (text % uuid.uuid4() if "%s" in text else text))
    (it.root / WEB).parent.mkdir()
    (it.root / WEB).write_text(AWKWARD)
    yield it
    it.kubectl("delete", "namespace", "here", "there", "--ignore-not-found", "--wait=false")


def test_manifests_are_taken_as_they_are_meant_moved_and_refused_all_at_once(estate: Estate) -> None:
    estate.apply()
    get = ("get", "configmap", "first", "second", "-o", "jsonpath={.items[*].data} {.items[*].metadata.labels.team}")
    assert estate.kubectl("--namespace", "here", *get) == (
        '{"answer":"NO","size":"1e3","time":"1:30"} {"answer":"YES","size":"1e3","time":"1:30"} shop shop'
    )
    assert estate.plan() == {}
    estate.write(BLUEPRINT, "namespace: here", "namespace: there")
    told = {
        c["address"].split("/", 4)[4]: (c["action"], c["reason"]) for c in estate("plan", "-o", "json").data["changes"]
    }
    assert told["ConfigMap/there/first"] == ("create", "not there yet: moves here from namespace here")
    action, reason = told["ConfigMap/here/first"]
    assert action == "delete"
    assert "moves to namespace there" in reason
    estate.apply()
    assert estate.kubectl("--namespace", "there", *get).endswith("shop shop")
    assert "here" not in estate.kubectl("get", "namespaces", "-o", "name").replace("there", "").split("/")
    (estate.root / WEB).write_text(REFUSED % {"long": "x" * 254, "large": "x" * 2_000_000})
    ran = estate.apply(expect=1)
    for line, says in (
        (3, "generateName"),
        (7, "cannot be the metadata.name of an object"),
        (13, "not a label"),
        (15, "2.0 MB"),
        (24, "twice"),
    ):
        assert any(f"{WEB}:{line}:" in one and says in one for one in ran.err.splitlines()), (
            line,
            says,
            ran.err[:3000],
        )
    assert estate.kubectl("--namespace", "there", *get).endswith("shop shop")
