"""Ready, not ready and why, or failed: by kind."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.modes.agile.readiness import readiness


def thing(version: str, kind: str, spec: Any = None, status: Any = None, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec or {}, "status": status or {}}


def condition(kind: str, status: str = "True", **more: str) -> dict[str, str]:
    return {"type": kind, "status": status, **more}


SEEN = {"observedGeneration": 2}
ALL = {**SEEN, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}
LATE = condition("Progressing", "False", reason="ProgressDeadlineExceeded", message="too late")
QUOTA = condition("ReplicaFailure", message="exceeded quota")
RUNS = {"phase": "Running", "conditions": [condition("Ready")]}
PULL = {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
NO_NODE = {"phase": "Pending", "conditions": [condition("PodScheduled", "False", message="no node")]}


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (thing("v1", "ConfigMap"), ""),
        (thing("v1", "ConfigMap", deletionTimestamp="now"), "it is being deleted"),
        (thing("apps/v1", "Deployment", {"replicas": 3}, ALL, generation=2), ""),
        (
            thing("apps/v1", "Deployment", {"replicas": 3}, ALL, generation=3),
            "its controller has not seen the change yet",
        ),
        (thing("apps/v1", "Deployment", {"replicas": 3}), "its controller has not seen it yet"),
        (thing("apps/v1", "Deployment", {"replicas": 3}, {**ALL, "readyReplicas": 1}), "1 of 3 replicas ready"),
        (thing("apps/v1", "Deployment", {"replicas": 3}, {**ALL, "updatedReplicas": 1}), "1 of 3 replicas updated"),
        (thing("apps/v1", "Deployment", {"replicas": 3}, {**ALL, "replicas": 4}), "1 old replicas are still ending"),
        (
            thing("apps/v1", "Deployment", {"replicas": 3}, {**SEEN, "conditions": [QUOTA]}),
            "0 of 3 replicas ready, exceeded quota",
        ),
        (
            thing("apps/v1", "Deployment", {"replicas": 3}, {**SEEN, "conditions": [LATE]}),
            "failed: 0 of 3 replicas ready: too late",
        ),
        (thing("apps/v1", "StatefulSet", {"replicas": 2}, {**SEEN, "readyReplicas": 1}), "1 of 2 replicas ready"),
        (thing("apps/v1", "StatefulSet", {"replicas": 2, "updateStrategy": {"type": "OnDelete"}}, SEEN), ""),
        (
            thing(
                "apps/v1",
                "StatefulSet",
                {"replicas": 1},
                {**SEEN, "readyReplicas": 1, "currentRevision": "a", "updateRevision": "b"},
            ),
            "0 of 1 replicas updated",
        ),
        (
            thing(
                "apps/v1",
                "DaemonSet",
                {},
                {**SEEN, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1},
            ),
            "1 of 2 pods available",
        ),
        (thing("v1", "Pod", {}, RUNS), ""),
        (thing("v1", "Pod", {}, {"phase": "Succeeded"}), ""),
        (thing("v1", "Pod", {}, {"phase": "Failed", "reason": "Evicted"}), "failed: Evicted"),
        (thing("v1", "Pod", {}, PULL), "ImagePullBackOff"),
        (thing("v1", "Pod", {}, NO_NODE), "no node"),
        (thing("batch/v1", "Job", {}, {"conditions": [condition("Complete")]}), ""),
        (thing("batch/v1", "Job", {}, {"conditions": [condition("Failed", message="too often")]}), "failed: too often"),
        (thing("batch/v1", "Job", {"completions": 2}, {"succeeded": 1}), "1 of 2 completions"),
        (thing("v1", "PersistentVolumeClaim", {}, {"phase": "Bound"}), ""),
        (thing("v1", "PersistentVolumeClaim", {}, {"phase": "Pending"}), "the claim is Pending"),
        (thing("v1", "Service", {"type": "ClusterIP"}), ""),
        (thing("v1", "Service", {"type": "LoadBalancer"}), "the load balancer has no address yet"),
        (thing("v1", "Service", {"type": "LoadBalancer"}, {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}), ""),
        (thing("apiextensions.k8s.io/v1", "CustomResourceDefinition"), "its kind is not served yet"),
        (
            thing(
                "apiextensions.k8s.io/v1", "CustomResourceDefinition", {}, {"conditions": [condition("Established")]}
            ),
            "",
        ),
        (thing("a.b/v1", "Shop", {}, {"conditions": [condition("Ready", "False", message="no doors")]}), "no doors"),
        (thing("a.b/v1", "Shop", {}, {"conditions": [condition("Stalled", message="for ever")]}), "failed: for ever"),
        (thing("a.b/v1", "Shop", {}, {"conditions": [condition("Ready")]}), ""),
    ],
)
def test_readiness(live: dict[str, Any], expected: str) -> None:
    found = readiness(live)
    assert (("failed: " if found.failed else "") + found.because, found.ready) == (expected, not expected)
