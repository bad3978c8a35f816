"""Ready, not ready and why, or failed: by kind."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.modes.agile.readiness.conditions import readiness_of
from orchestrator.modes.agile.readiness.rules import readiness
from tests.agile.estates import unit


def thing(version: str, kind: str, spec: Any = None, status: Any = None, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec or {}, "status": status or {}}


def condition(kind: str, status: str = "True", **more: str) -> dict[str, str]:
    return {"type": kind, "status": status, **more}


SEEN = {"observedGeneration": 2}
ALL = {**SEEN, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}
LATE = condition("Progressing", "False", reason="ProgressDeadlineExceeded", message="too late")
QUOTA = condition("ReplicaFailure", message="exceeded quota")
RUNS = {"phase": "Running", "conditions": [condition("Ready")]}
PULL = {"phase": "Pending", "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
CRASHING = {
    "name": "c",
    "restartCount": 4,
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}},
}
CRASH = {"phase": "Running", "containerStatuses": [PULL["containerStatuses"][0], CRASHING]}
ENDED = {"phase": "Running", "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 2}}}]}
STALE = condition("Ready", observedGeneration=1)  # type: ignore[arg-type]
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
        (thing("v1", "Pod", {}, PULL), "container c: ImagePullBackOff"),
        (thing("v1", "Pod", {}, CRASH), "failed: container c: CrashLoopBackOff (exit code 3, Error; 4 restarts)"),
        (thing("v1", "Pod", {}, ENDED), "container i: ended with exit code 2 (Error)"),
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
        (
            thing("a.b/v1", "Shop", {}, {"conditions": [STALE]}, generation=2),
            "its controller has not seen the change yet",
        ),
        (thing("v1", "PersistentVolume", {}, {"phase": "Available"}), ""),
        (thing("v1", "PersistentVolume", {}, {"phase": "Failed", "message": "gone"}), "failed: gone"),
        (thing("v1", "ResourceQuota", {"hard": {"pods": "1"}}), "its controller has not counted pods yet"),
        (thing("v1", "ResourceQuota", {"hard": {"pods": "1"}}, {"hard": {"pods": "1"}}), ""),
        (
            thing("batch/v1", "Job", {}, {"conditions": [condition("FailureTarget", message="no more")]}),
            "failed: no more",
        ),
        (
            thing("certificates.k8s.io/v1", "CertificateSigningRequest", {}, {"conditions": [condition("Denied")]}),
            "failed: Denied",
        ),
        (thing("certificates.k8s.io/v1", "CertificateSigningRequest"), "nobody has approved it"),
    ],
)
def test_readiness(live: dict[str, Any], expected: str) -> None:
    found = readiness(live)
    assert (("failed: " if found.failed else "") + found.because, found.ready) == (expected, not expected)


@pytest.mark.parametrize(
    ("condition", "status", "expected"),
    [
        ('object.status.phase == "Running"', {"phase": "Running"}, ""),
        ('object.status.phase == "Running"', {"phase": "Starting"}, 'waits for object.status.phase == "Running"'),
        (
            'object.status.phase == "Running"',
            {},
            'waits for object.status.phase == "Running" (Key not found in map : "phase")',
        ),
        ("object.status.count > 2", {"count": "x"}, "waits for object.status.count > 2 (No matching overloads found"),
        ("object.status.open.exists(d, d.name == 'front')", {"open": [{"name": "front"}]}, ""),
        ("true", {"observedGeneration": 1}, "its controller has not seen the change yet"),
        ("true", {"conditions": [condition("Stalled", message="for ever")]}, "for ever"),
    ],
)
def test_a_declared_condition_takes_the_place_of_the_rule_for_the_kind(
    condition: str, status: dict[str, Any], expected: str
) -> None:
    live = {**thing("a.b/v1", "Shop", {}, status, generation=2, name="x")}
    found = readiness_of(unit(live, ready=condition), live)
    assert (found.ready, found.because.startswith(expected)) == (not expected, True)
