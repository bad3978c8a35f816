"""Which fields of which kinds the API server does not let anybody change in place. Pure.

The server's dry run is the judge; this table serves where it cannot be asked (a value that is not known yet) and where
it only says that something in the whole `spec` is forbidden.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from orchestrator.modes.agile.objects import Object, kind_of

Path = Sequence[str]
Rule = Callable[[Path], bool]

_STATEFUL_SET = frozenset(
    (
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "minReadySeconds",
        "persistentVolumeClaimRetentionPolicy",
    )
)
_JOB = frozenset(
    (
        "selector",
        "template",
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "completions",
        "managedBy",
        "successPolicy",
        "manualSelector",
    )
)
_POD = frozenset(("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"))
_CLAIM = frozenset(("resources", "volumeAttributesClassName"))


def _begins(*starts: str) -> Rule:
    wanted = [start.split(".") for start in starts]
    return lambda path: any(list(path[: len(start)]) == start for start in wanted)


def _all_but(allowed: frozenset[str]) -> Rule:
    return lambda path: len(path) > 1 and path[0] == "spec" and path[1] not in allowed


def _pod(path: Path) -> bool:
    image = len(path) == 4 and path[1] in ("containers", "initContainers") and path[3] == "image"
    return _all_but(_POD)(path) and not image


_RULES: Mapping[str, Rule] = {
    "Deployment.apps": _begins("spec.selector"),
    "ReplicaSet.apps": _begins("spec.selector"),
    "DaemonSet.apps": _begins("spec.selector"),
    "StatefulSet.apps": _all_but(_STATEFUL_SET),
    "Job.batch": lambda path: len(path) > 1 and path[0] == "spec" and path[1] in _JOB,
    "Pod": _pod,
    "Service": _begins("spec.clusterIP", "spec.clusterIPs"),
    "PersistentVolumeClaim": _all_but(_CLAIM),
    "RoleBinding.rbac.authorization.k8s.io": _begins("roleRef"),
    "ClusterRoleBinding.rbac.authorization.k8s.io": _begins("roleRef"),
    "StorageClass.storage.k8s.io": _begins("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
    "IngressClass.networking.k8s.io": _begins("spec.controller"),
    "PriorityClass.scheduling.k8s.io": _begins("value", "preemptionPolicy"),
    "RuntimeClass.node.k8s.io": _begins("handler"),
    "CustomResourceDefinition.apiextensions.k8s.io": _begins("spec.group", "spec.names.kind", "spec.scope"),
    "Secret": _begins("type"),
    "ResourceQuota": _begins("spec.scopes", "spec.scopeSelector"),
    "EndpointSlice.discovery.k8s.io": _begins("addressType"),
}


def is_immutable(live: Object, path: Path) -> bool:
    """Whether a field of this live object can be changed only by making the object anew."""
    kind = kind_of(str(live.get("apiVersion", "")), str(live.get("kind", "")))
    if live.get("immutable") is True and kind in ("ConfigMap", "Secret"):
        return path[0] in ("data", "binaryData", "immutable")
    rule = _RULES.get(kind)
    return rule is not None and rule(path)
