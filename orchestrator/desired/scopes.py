"""Which of Kubernetes' own kinds have no namespace, and which kinds are not its own."""

from __future__ import annotations

_CLUSTER_SCOPED = {
    "": "ComponentStatus Namespace Node PersistentVolume",
    "admissionregistration.k8s.io": (
        "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration "
        "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration"
    ),
    "apiextensions.k8s.io": "CustomResourceDefinition",
    "apiregistration.k8s.io": "APIService",
    "certificates.k8s.io": "CertificateSigningRequest ClusterTrustBundle",
    "flowcontrol.apiserver.k8s.io": "FlowSchema PriorityLevelConfiguration",
    "gateway.networking.k8s.io": "GatewayClass",
    "networking.k8s.io": "IPAddress IngressClass ServiceCIDR",
    "node.k8s.io": "RuntimeClass",
    "rbac.authorization.k8s.io": "ClusterRole ClusterRoleBinding",
    "resource.k8s.io": "DeviceClass DeviceTaintRule ResourceSlice",
    "scheduling.k8s.io": "PriorityClass",
    "snapshot.storage.k8s.io": "VolumeSnapshotClass VolumeSnapshotContent",
    "storage.k8s.io": "CSIDriver CSINode StorageClass VolumeAttachment VolumeAttributesClass",
    "storagemigration.k8s.io": "StorageVersionMigration",
}
_KINDS = frozenset(
    f"{kind}.{group}" if group else kind for group, kinds in _CLUSTER_SCOPED.items() for kind in kinds.split()
)
# Kubernetes' own API groups with a dot in their names, without the last two parts.
_OWN = (
    "admissionregistration apiextensions apiregistration authentication authorization rbac.authorization certificates "
    "coordination discovery events flowcontrol.apiserver internal.apiserver networking node resource scheduling "
    "storage storagemigration metrics"
)
_GROUPS = frozenset(f"{name}.k8s.io" for name in _OWN.split(" "))


def is_cluster_scoped(kind: str) -> bool:
    """Whether a kind with its group (`ClusterRole.rbac.authorization.k8s.io`, `Node`) is one without a namespace."""
    return kind in _KINDS


def is_custom(kind: str) -> bool:
    """Whether a kind with its group is none of Kubernetes' own, but made by a CustomResourceDefinition."""
    group = kind.partition(".")[2]
    return "." in group and group not in _GROUPS
