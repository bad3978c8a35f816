"""Why something is not ready, looked up while it is waited for: the first of its pods that is not."""

from __future__ import annotations

from typing import Any

from orchestrator.modes.agile.api import Api, RefusedError
from orchestrator.modes.agile.discovery import Kinds
from orchestrator.modes.agile.objects import Object, metadata
from orchestrator.modes.agile.readiness import pod

_WITH_PODS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")


def reason_for(api: Api, kinds: Kinds, live: Object, because: str) -> str:
    """The reason with, for what has pods, the first pod's own: `1 of 3 replicas ready, web-7d9…: ContainerCreating`."""
    selector = _selector(live) if live.get("kind") in _WITH_PODS else ""
    found = kinds.find("Pod") if selector else None
    if found is None:
        return because
    try:
        path = found.collection(str(metadata(live).get("namespace", "")))
        pods = api.get(path, labelSelector=selector, limit="50").get("items") or []
    except RefusedError:
        return because
    for one in sorted(pods, key=lambda p: str(metadata(p).get("creationTimestamp")), reverse=True):
        state = pod(one)
        if not state.ready and not metadata(one).get("deletionTimestamp"):
            return f"{because}, {metadata(one).get('name')}: {state.because}"
    return because


def waits_for_a_pod(api: Api, kinds: Kinds, claim: Object) -> bool:
    """Whether a claim is bound only once a pod uses it, so that there is nothing to wait for before."""
    name = (claim.get("spec") or {}).get("storageClassName")
    found = kinds.find("StorageClass.storage.k8s.io") if name else None
    try:
        storage = api.find(found.path("", str(name))) if found else None
    except RefusedError:
        return False
    return storage is not None and storage.get("volumeBindingMode") == "WaitForFirstConsumer"


def _selector(live: Object) -> str:
    labels: dict[str, Any] = ((live.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in labels.items())
