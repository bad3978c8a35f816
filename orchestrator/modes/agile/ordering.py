"""In which order kinds are made (and deleted, the other way round), and what needs what has failed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.model.values import Secret, Value, leaves
from orchestrator.modes.agile.objects import kind_of, metadata

NAMESPACES = 0
CONFIGURATION = 3  # ready as soon as it is there
_REST = 5

_ORDER: tuple[tuple[int, str], ...] = (
    (NAMESPACES, "Namespace"),
    (1, "CustomResourceDefinition.apiextensions.k8s.io"),
    # Who may do what, and the classes that others name.
    (
        2,
        "ServiceAccount Role.rbac.authorization.k8s.io ClusterRole.rbac.authorization.k8s.io "
        "RoleBinding.rbac.authorization.k8s.io ClusterRoleBinding.rbac.authorization.k8s.io "
        "PriorityClass.scheduling.k8s.io StorageClass.storage.k8s.io RuntimeClass.node.k8s.io "
        "IngressClass.networking.k8s.io",
    ),
    (CONFIGURATION, "ResourceQuota LimitRange NetworkPolicy.networking.k8s.io Secret ConfigMap PersistentVolume"),
    # Claims beside what uses them: many are bound only when a pod wants them.
    (
        4,
        "PersistentVolumeClaim Service Pod ReplicationController ReplicaSet.apps Deployment.apps StatefulSet.apps "
        "DaemonSet.apps Job.batch CronJob.batch",
    ),
    # Last, as they have their say about all that comes after them, and their servers are workloads.
    (
        6,
        "MutatingWebhookConfiguration.admissionregistration.k8s.io "
        "ValidatingWebhookConfiguration.admissionregistration.k8s.io APIService.apiregistration.k8s.io",
    ),
)
_RANKS: Mapping[str, int] = {kind: place for place, kinds in _ORDER for kind in kinds.split(" ")}
_NEEDED_BY_NAME = ("ConfigMap", "Secret", "ServiceAccount", "PersistentVolumeClaim")


def rank(kind: str) -> int:
    """When a kind (`Deployment.apps`) is made; lower ones come first."""
    return _RANKS.get(kind, _REST)


def needs_failed(manifest: Mapping[str, Value], failed: Iterable[tuple[str, Mapping[str, Value]]]) -> str:
    """The first of the failed (label, manifest) that this manifest cannot do without; empty for none."""
    kind = kind_of(str(manifest.get("apiVersion")), str(manifest.get("kind")))
    namespace = metadata(manifest).get("namespace")
    texts = {str(x.reveal() if isinstance(x, Secret) else x) for x in leaves(manifest.get("spec"))}
    for label, other in failed:
        what, name = str(other.get("kind")), str(metadata(other).get("name"))
        if what == "Namespace" and name == namespace:
            return label
        if defined_kind(other) == kind:
            return label
        if what in _NEEDED_BY_NAME and metadata(other).get("namespace") == namespace and name in texts:
            return label
    return ""


def defined_kind(manifest: Mapping[str, Value]) -> str:
    """The kind (`Shop.acme.com`) that a CustomResourceDefinition makes; empty for anything else."""
    spec = manifest.get("spec")
    names = spec.get("names") if isinstance(spec, Mapping) else None
    is_definition = manifest.get("kind") == "CustomResourceDefinition"
    if not is_definition or not isinstance(spec, Mapping) or not isinstance(names, Mapping):
        return ""
    return f"{names.get('kind')}.{spec.get('group')}"
