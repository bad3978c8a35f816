"""The example of a platform: its documents hold, and its kustomization and its chart are built by the real programs."""

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
    names = ("PAYMENTS_KEY", "TICKETS_PASSWORD")
    secrets = {SecretRef.model_validate({"secretRef": {"env": n}}): Secret("k", f"env {n}") for n in names}
    found = desired.resolve(loaded, Known(), secrets, render=renderers())
    assert not found.diagnostics
    kinds = Counter(unit.address.kind.partition(".")[0] for unit in found.units)
    assert kinds == {
        "ClusterRole": 1,
        "ClusterRoleBinding": 1,
        "ConfigMap": 3,
        "CronJob": 1,
        "CustomResourceDefinition": 2,
        "Deployment": 9,
        "HorizontalPodAutoscaler": 1,
        "Ingress": 2,
        "Job": 3,
        "Queue": 2,
        "Secret": 2,
        "Service": 7,
        "ServiceAccount": 2,
        "TicketQueue": 2,
        "program": 1,
    }
