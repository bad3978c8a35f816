"""Whether an object works, by the rules of kstatus, and if not, why. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.modes.agile.objects import Object, kind_of, metadata


@dataclass(frozen=True, slots=True)
class Readiness:
    """`because` says why it is not ready; `failed`: waiting will not help."""

    ready: bool
    because: str = ""
    failed: bool = False


READY = Readiness(True)

# What a container waits with when waiting longer will not help.
_HOPELESS = ("CrashLoopBackOff", "InvalidImageName", "ErrImageNeverPull")
# Reasons that say little: an event tells more.
VAGUE = ("ContainerCreating", "PodInitializing", "Pending", "unready status", "CreateContainerError")


def readiness(thing: Object) -> Readiness:
    """Whether the object has become what it should be."""
    if metadata(thing).get("deletionTimestamp"):
        return _not("it is being deleted")
    if is_settling(thing):
        return _not("its controller has not seen the change yet")
    rule = _RULES.get(kind_of(str(thing.get("apiVersion", "")), str(thing.get("kind", ""))), _generic)
    return rule(thing)


def is_settling(thing: Object) -> bool:
    """Whether it is being deleted, or its controller has not seen yet what was applied last."""
    seen, wanted = _status(thing).get("observedGeneration"), metadata(thing).get("generation")
    stale = isinstance(seen, int) and isinstance(wanted, int) and seen < wanted
    return stale or bool(metadata(thing).get("deletionTimestamp"))


def conditions(thing: Object) -> Mapping[str, Mapping[str, Any]]:
    """The object's conditions by type."""
    found = _status(thing).get("conditions")
    return {str(c.get("type")): c for c in found if isinstance(c, Mapping)} if isinstance(found, list) else {}


def said(condition: Mapping[str, Any]) -> str:
    """What a condition says for a person: its message, or its reason."""
    return str(condition.get("message") or condition.get("reason") or condition.get("type") or "")


def _not(because: str) -> Readiness:
    return Readiness(False, because)


def _failed(because: str) -> Readiness:
    return Readiness(False, because, failed=True)


def _status(thing: Object) -> Mapping[str, Any]:
    found = thing.get("status")
    return found if isinstance(found, Mapping) else {}


def _spec(thing: Object) -> Mapping[str, Any]:
    found = thing.get("spec")
    return found if isinstance(found, Mapping) else {}


def _is(thing: Object, condition: str, status: str = "True") -> bool:
    return conditions(thing).get(condition, {}).get("status") == status


def _generic(thing: Object) -> Readiness:
    found = conditions(thing)
    if _is(thing, "Stalled"):
        return _failed(said(found["Stalled"]))
    if _is(thing, "Reconciling"):
        return _not(said(found["Reconciling"]))
    if "Ready" not in found:
        return READY
    seen, wanted = found["Ready"].get("observedGeneration"), metadata(thing).get("generation")
    if isinstance(seen, int) and isinstance(wanted, int) and seen < wanted:
        return _not("its controller has not seen the change yet")
    return READY if _is(thing, "Ready") else _not(said(found["Ready"]) or "its condition Ready is not true")


def _count(thing: Object, name: str) -> int:
    return int(_status(thing).get(name) or 0)


def _replicas(thing: Object, wanted: int, ready: int, why: str = "") -> Readiness:
    return _not(f"{ready} of {wanted} replicas ready" + (f", {why}" if why else ""))


def _deployment(thing: Object) -> Readiness:
    found = conditions(thing)
    wanted = int(_spec(thing).get("replicas", 1))
    ready = _count(thing, "readyReplicas")
    progressing = found.get("Progressing", {})
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return _failed(f"{ready} of {wanted} replicas ready: {said(progressing)}")
    if "observedGeneration" not in _status(thing):
        return _not("its controller has not seen it yet")
    if _is(thing, "ReplicaFailure"):
        return _replicas(thing, wanted, ready, said(found["ReplicaFailure"]))
    updated = _count(thing, "updatedReplicas")
    if updated < wanted:
        return _not(f"{updated} of {wanted} replicas updated")
    if _count(thing, "replicas") > wanted:
        return _not(f"{_count(thing, 'replicas') - wanted} old replicas are still ending")
    if min(ready, _count(thing, "availableReplicas")) < wanted:
        return _replicas(thing, wanted, min(ready, _count(thing, "availableReplicas")))
    if "Available" in found and not _is(thing, "Available"):
        return _not(said(found["Available"]))
    return READY


def _stateful_set(thing: Object) -> Readiness:
    spec, status = _spec(thing), _status(thing)
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return READY
    if "observedGeneration" not in status:
        return _not("its controller has not seen it yet")
    wanted, ready = int(spec.get("replicas", 1)), _count(thing, "readyReplicas")
    if ready < wanted:
        return _replicas(thing, wanted, ready)
    if _count(thing, "replicas") > wanted:
        return _not(f"{_count(thing, 'replicas') - wanted} old replicas are still ending")
    partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    updated = _count(thing, "updatedReplicas")
    if partition:
        return READY if updated >= wanted - partition else _not(f"{updated} of {wanted - partition} replicas updated")
    if status.get("currentRevision") != status.get("updateRevision"):
        return _not(f"{updated} of {wanted} replicas updated")
    return READY


def _daemon_set(thing: Object) -> Readiness:
    if "observedGeneration" not in _status(thing):
        return _not("its controller has not seen it yet")
    wanted = _count(thing, "desiredNumberScheduled")
    for name, what in (
        ("updatedNumberScheduled", "updated"),
        ("numberAvailable", "available"),
        ("numberReady", "ready"),
    ):
        if _count(thing, name) < wanted:
            return _not(f"{_count(thing, name)} of {wanted} pods {what}")
    return READY


def _replica_set(thing: Object) -> Readiness:
    wanted = int(_spec(thing).get("replicas", 1))
    if _is(thing, "ReplicaFailure"):
        return _replicas(thing, wanted, _count(thing, "readyReplicas"), said(conditions(thing)["ReplicaFailure"]))
    if "observedGeneration" not in _status(thing):
        return _not("its controller has not seen it yet")
    ready = min(_count(thing, "readyReplicas"), _count(thing, "availableReplicas"))
    return READY if ready >= wanted else _replicas(thing, wanted, ready)


def pod(thing: Object) -> Readiness:
    """Whether a pod runs and is ready, or has ended well; the reason is the first container's that is not."""
    phase = _status(thing).get("phase")
    if phase == "Succeeded" or (phase == "Running" and _is(thing, "Ready")):
        return READY
    if phase == "Failed":
        return _failed(str(_status(thing).get("message") or _status(thing).get("reason") or "it has failed"))
    found = [_container(one) for name in ("initContainerStatuses", "containerStatuses") for one in _list(thing, name)]
    waiting = [state for state in found if state is not None]
    if waiting:
        return next((state for state in waiting if state.failed), waiting[0])
    if _is(thing, "PodScheduled", "False"):
        return _not(said(conditions(thing)["PodScheduled"]))
    return _not(said(conditions(thing).get("Ready", {})) or str(phase or "Pending"))


def _list(thing: Object, name: str) -> list[Mapping[str, Any]]:
    return list(_status(thing).get(name) or [])


def _container(status: Mapping[str, Any]) -> Readiness | None:
    """What a container waits for, or why it has ended; None where there is nothing to say of it."""
    state, last = status.get("state") or {}, (status.get("lastState") or {}).get("terminated") or {}
    name = f"container {status.get('name')}"
    if waiting := state.get("waiting"):
        reason = str(waiting.get("reason", "waiting"))
        more = [str(waiting["message"])] if waiting.get("message") else []
        if last:
            more.append(f"exit code {last.get('exitCode')}, {last.get('reason', 'ended')}")
        if status.get("restartCount"):
            more.append(f"{status['restartCount']} restarts")
        detail = f" ({'; '.join(more)})" if more else ""
        return Readiness(False, f"{name}: {reason}{detail}", failed=reason in _HOPELESS)
    ended = state.get("terminated") or {}
    if ended.get("exitCode"):
        return _not(f"{name}: ended with exit code {ended['exitCode']} ({ended.get('reason', 'Error')})")
    return None


def _job(thing: Object) -> Readiness:
    if _is(thing, "Complete") or _spec(thing).get("suspend") is True:
        return READY
    for ended in ("Failed", "FailureTarget"):
        if _is(thing, ended):
            return _failed(said(conditions(thing)[ended]))
    wanted = int(_spec(thing).get("completions") or 1)
    return _not(f"{_count(thing, 'succeeded')} of {wanted} completions")


def _claim(thing: Object) -> Readiness:
    phase = _status(thing).get("phase", "Pending")
    if phase == "Lost":
        return _failed("its volume is lost")
    return READY if phase == "Bound" else _not(f"the claim is {phase}")


def _service(thing: Object) -> Readiness:
    addresses = (_status(thing).get("loadBalancer") or {}).get("ingress")
    if _spec(thing).get("type") == "LoadBalancer" and not addresses:
        return _not("the load balancer has no address yet")
    return READY


def _volume(thing: Object) -> Readiness:
    phase = _status(thing).get("phase", "Pending")
    if phase == "Failed":
        return _failed(str(_status(thing).get("message") or "the volume has failed"))
    return _not("the volume is Pending") if phase == "Pending" else READY


def _quota(thing: Object) -> Readiness:
    """Until its controller has counted, the API server refuses whatever the quota is about."""
    counted = _status(thing).get("hard") or {}
    left = sorted(set(_spec(thing).get("hard") or {}) - set(counted))
    return _not(f"its controller has not counted {left[0]} yet") if left else READY


def _signing_request(thing: Object) -> Readiness:
    for refused in ("Denied", "Failed"):
        if _is(thing, refused):
            return _failed(said(conditions(thing)[refused]))
    if not _is(thing, "Approved"):
        return _not("nobody has approved it")
    return READY if _status(thing).get("certificate") else _not("its certificate is not issued yet")


def _flow_schema(thing: Object) -> Readiness:
    return _not(said(conditions(thing)["Dangling"])) if _is(thing, "Dangling") else READY


def _definition(thing: Object) -> Readiness:
    found = conditions(thing)
    if _is(thing, "NamesAccepted", "False"):
        return _failed(said(found["NamesAccepted"]))
    return READY if _is(thing, "Established") else _not("its kind is not served yet")


def _namespace(thing: Object) -> Readiness:
    return _not("it is being deleted") if _status(thing).get("phase") == "Terminating" else READY


def _api_service(thing: Object) -> Readiness:
    return READY if _is(thing, "Available") else _not(said(conditions(thing).get("Available", {})) or "not available")


_RULES: Mapping[str, Callable[[Object], Readiness]] = {
    "Deployment.apps": _deployment,
    "StatefulSet.apps": _stateful_set,
    "DaemonSet.apps": _daemon_set,
    "ReplicaSet.apps": _replica_set,
    "ReplicationController": _replica_set,
    "Pod": pod,
    "Job.batch": _job,
    "PersistentVolumeClaim": _claim,
    "PersistentVolume": _volume,
    "ResourceQuota": _quota,
    "CertificateSigningRequest.certificates.k8s.io": _signing_request,
    "FlowSchema.flowcontrol.apiserver.k8s.io": _flow_schema,
    "Service": _service,
    "CustomResourceDefinition.apiextensions.k8s.io": _definition,
    "Namespace": _namespace,
    "APIService.apiregistration.k8s.io": _api_service,
}
