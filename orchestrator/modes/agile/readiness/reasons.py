"""Why something is not ready, looked up while it is waited for: its pods, and what events say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.modes.agile.client.api import Api, RefusedError
from orchestrator.modes.agile.client.discovery import Kinds
from orchestrator.modes.agile.objects import Object, metadata
from orchestrator.modes.agile.readiness.rules import VAGUE, Readiness, pod

_WITH_PODS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job")
_REVISION = "deployment.kubernetes.io/revision"
_MOST_PODS, _MOST_EVENTS = "100", "50"
_LONGEST = 300  # of an event's text


def explained(api: Api, kinds: Kinds, live: Object, state: Readiness) -> Readiness:
    """The state with more of its reason: `1 of 3 replicas ready, web-7d9…: container web: CrashLoopBackOff (…)`.

    What has pods has the first of them that is not ready, one that will never be before all others; then it has failed
    as well. Where that says little, the last warning among the events follows. Raises UnreachedError.
    """
    if state.failed and live.get("kind") not in _WITH_PODS:
        return state
    about, found = live, state
    for one in _pods(api, kinds, live) if live.get("kind") in _WITH_PODS else ():
        theirs = pod(one)
        if theirs.ready or metadata(one).get("deletionTimestamp"):
            continue
        said = Readiness(False, f"{state.because}, {metadata(one).get('name')}: {theirs.because}", theirs.failed)
        if found is state or theirs.failed:
            about, found = one, replace(said, failed=said.failed or state.failed)
        if theirs.failed:
            return found
    vague = about is live or any(word in found.because for word in VAGUE)
    event = _last_warning(api, about) if vague else ""
    return replace(found, because=f"{found.because}; {event}") if event and event not in found.because else found


def waits_for_a_pod(api: Api, kinds: Kinds, claim: Object) -> bool:
    """Whether a claim is bound only once a pod uses it, so that there is nothing to wait for before."""
    name = (claim.get("spec") or {}).get("storageClassName")
    found = kinds.find("StorageClass.storage.k8s.io") if name else None
    try:
        storage = api.find(found.path("", str(name))) if found else None
    except RefusedError:
        return False
    return storage is not None and storage.get("volumeBindingMode") == "WaitForFirstConsumer"


def _pods(api: Api, kinds: Kinds, live: Object) -> list[dict[str, Any]]:
    """The pods of what was applied last, the youngest first: those of an older revision say nothing about it."""
    wanted = _revision(api, kinds, live)
    found = _matching(api, kinds, live, "Pod", _MOST_PODS)
    mine = [one for one in found if not wanted or wanted in (metadata(one).get("labels") or {}).values()]
    return sorted(mine, key=lambda p: str(metadata(p).get("creationTimestamp")), reverse=True)


def _revision(api: Api, kinds: Kinds, live: Object) -> str:
    """The value of the label that its pods of the present revision bear; empty where there is none."""
    if live.get("kind") == "StatefulSet":
        return str((live.get("status") or {}).get("updateRevision") or "")
    if live.get("kind") != "Deployment":
        return ""
    number = (metadata(live).get("annotations") or {}).get(_REVISION)
    for one in _matching(api, kinds, live, "ReplicaSet.apps", _MOST_PODS):
        if (metadata(one).get("annotations") or {}).get(_REVISION) == number:
            return str((metadata(one).get("labels") or {}).get("pod-template-hash", ""))
    return ""


def _matching(api: Api, kinds: Kinds, live: Object, kind: str, limit: str) -> list[dict[str, Any]]:
    """The objects of a kind that its selector picks; none where they may not be read."""
    selector, served = _selector(live), kinds.find(kind)
    if not selector or served is None:
        return []
    path = served.collection(str(metadata(live).get("namespace", "")))
    try:
        return list(api.get(path, labelSelector=selector, limit=limit).get("items") or [])
    except RefusedError:
        return []


def _selector(live: Object) -> str:
    given = (live.get("spec") or {}).get("selector") or {}
    labels = given if live.get("kind") == "ReplicationController" else given.get("matchLabels") or {}
    parts = [f"{key}={value}" for key, value in labels.items()]
    parts += [_requirement(one) for one in given.get("matchExpressions") or []]
    return ",".join(parts)


def _requirement(expression: Mapping[str, Any]) -> str:
    key, values = str(expression["key"]), ",".join(expression.get("values") or [])
    forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key, "DoesNotExist": f"!{key}"}
    return forms[str(expression["operator"])]


def _last_warning(api: Api, about: Object) -> str:
    """The text of the last warning about an object; empty where there is none to be read."""
    meta = metadata(about)
    path = f"/api/v1/namespaces/{meta.get('namespace') or 'default'}/events"
    selector = f"involvedObject.uid={meta.get('uid')},type=Warning"
    try:
        answer = api.get(path, fieldSelector=selector, limit=_MOST_EVENTS)
    except RefusedError:
        return ""
    events: Sequence[Mapping[str, Any]] = answer.get("items") or []
    last = max(events, key=_time_of, default=None)
    if last is None:
        return ""
    text = str(last.get("message") or "").strip().split("\n", 1)[0]
    return f"{last.get('reason')}: {text}"[:_LONGEST]


def _time_of(event: Mapping[str, Any]) -> str:
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")
