"""Several clusters in one plan: what one of them is slow at is its own affair."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import root
from orchestrator.modes.agile.client import api
from tests.agile.servers import Answer, Authority, Request, page, serving, status

DOCUMENTS = """\
apiVersion: orchestrator/v1alpha1
kind: Estate
metadata: {name: side-by-side, id: 5b0d1c1e-8a41-4a0e-9d0c-6c1d2e3f4a5e}
---
apiVersion: orchestrator/v1alpha1
kind: Placement
metadata: {name: shop}
spec: {blueprint: ./shop, sites: {matchLabels: {env: test}}}
"""
BLUEPRINT = """\
apiVersion: orchestrator/v1alpha1
kind: Blueprint
metadata: {name: shop, version: 1.0.0}
spec:
  agile:
    web: {namespace: shop, manifests: [web.yaml]}
"""
MANIFEST = "{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {key: value}}\n"
SITE = """\
apiVersion: orchestrator/v1alpha1
kind: Site
metadata: {{name: {name}, labels: {{env: test}}}}
spec: {{agile: {{cluster: {{kubeconfig: {name}.kubeconfig}}}}}}
"""

Planned = Callable[[Callable[[Request], Answer], Callable[[Request], Answer]], dict[str, tuple[str, str]]]


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planned:
    """What a plan has for the site of each of two clusters, `a` and `b`: action and reason."""
    files = {"orchestrator.yaml": DOCUMENTS, "shop/blueprint.yaml": BLUEPRINT, "shop/web.yaml": MANIFEST}
    files |= {f"{name}.yaml": SITE.format(name=name) for name in ("a", "b")}
    for name, text in files.items():
        path = tmp_path / "estate" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ca = Authority(tmp_path)

    def plan(a: Callable[[Request], Answer], b: Callable[[Request], Answer]) -> dict[str, tuple[str, str]]:
        estate = tmp_path / "estate"
        with serving(ca.pair("a"), a) as first, serving(ca.pair("b"), b) as second:
            first.kubeconfig(estate / "a.kubeconfig", ca.path)
            second.kubeconfig(estate / "b.kubeconfig", ca.path)
            ran = CliRunner().invoke(root, ["plan", "--estate", str(estate), "-o", "json"])
        assert ran.exit_code == 0, ran.output
        return {one["site"]: (one["action"], one["reason"]) for one in json.loads(ran.stdout)["changes"]}

    return plan


def test_clusters_are_asked_side_by_side(planned: Planned) -> None:
    both = threading.Barrier(2)
    met = threading.Event()

    def answers_once_the_other_is_asked_too(request: Request) -> Answer:
        if not met.is_set():
            both.wait(10)
            met.set()
        return page([])

    found = planned(answers_once_the_other_is_asked_too, answers_once_the_other_is_asked_too)
    assert found == {"a": ("create", "not there yet"), "b": ("create", "not there yet")}


def test_a_cluster_that_does_not_answer_is_held_by_itself(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "READ_SECONDS", 0.5)
    over = threading.Event()

    def never(request: Request) -> Answer:
        over.wait(20)
        return status(500, "InternalError", "asked for longer than was meant")

    found = planned(never, lambda request: page([]))
    over.set()
    assert found["b"] == ("create", "not there yet")
    action, reason = found["a"]
    assert action == "hold"
    assert "no answer within" in reason
