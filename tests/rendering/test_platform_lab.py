"""The example of a platform: its documents hold, and its kustomization is built by the real program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import desired, documents
from orchestrator.documents.models import SecretRef
from orchestrator.model.change import Known
from orchestrator.model.values import Secret
from orchestrator.rendering import ProgramRenderer

EXAMPLE = Path(__file__).parents[2] / "examples" / "platform"


def test_the_platform_is_valid() -> None:
    loaded = documents.load(EXAMPLE)
    assert not [str(each) for each in (*loaded.diagnostics, *desired.check(loaded))]


@pytest.mark.lab
def test_the_platform_becomes_objects(renderers: Callable[[], ProgramRenderer]) -> None:
    loaded = documents.load(EXAMPLE)
    key = SecretRef.model_validate({"secretRef": {"env": "PAYMENTS_KEY"}})
    found = desired.resolve(loaded, Known(), {key: Secret("k", "env PAYMENTS_KEY")}, render=renderers())
    assert not found.diagnostics
    kinds = Counter(unit.address.kind.partition(".")[0] for unit in found.units)
    assert kinds == {
        "ClusterRole": 1,
        "ClusterRoleBinding": 1,
        "ConfigMap": 2,
        "CronJob": 1,
        "CustomResourceDefinition": 1,
        "Deployment": 8,
        "HorizontalPodAutoscaler": 1,
        "Ingress": 1,
        "Job": 1,
        "Queue": 2,
        "Secret": 1,
        "Service": 6,
        "ServiceAccount": 1,
    }
