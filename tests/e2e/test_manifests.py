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


STRAY = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: fine}
---
apiVersion: test.dev/v1
kind: Stray
metadata: {name: one}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: lost, namespace: nowhere}
"""
KIND = """\
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: strays.test.dev}
spec:
  group: test.dev
  names: {kind: Stray, plural: strays}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
"""


def test_a_thing_without_its_kind_or_its_namespace_is_told_at_its_line_and_its_workload_waits(estate: Estate) -> None:
    (estate.root / WEB).write_text(STRAY)
    said = {
        f"{WEB}:5": "the cluster serves no Stray of test.dev/v1, and no CustomResourceDefinition for it is declared",
        f"{WEB}:9": "namespace nowhere does not exist and nobody makes it: declare it as a Namespace",
    }
    for shown in (estate("plan").ended(1), estate.apply(expect=1)):
        text = " ".join(shown.out.split())
        assert {where: where in text and says in text for where, says in said.items()} == dict.fromkeys(said, True), (
            shown
        )
    assert estate.kubectl("get", "namespaces", "here", "--ignore-not-found", "-o", "name") == ""
    with (estate.root / WEB).open("a") as file:
        file.write(f"{KIND}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: nowhere}}\n")
    estate.apply()
    assert estate.plan() == {}
    estate("destroy", "--yes").ended(0)
