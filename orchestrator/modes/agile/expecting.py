"""What a thing that is not there yet must find when it is made: its kind, and its namespace."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.model.address import Address
from orchestrator.model.observation import Absent, Observation, Present
from orchestrator.model.unit import Unit
from orchestrator.modes.agile import namespaces
from orchestrator.modes.agile.client.api import Api, RefusedError
from orchestrator.modes.agile.client.discovery import Kinds
from orchestrator.modes.agile.objects import manifest_of, split_name
from orchestrator.modes.agile.ordering import defined_kind

# What an API server's answer about other objects may depend on: with one of these still to be made, it is not final.
_DECIDING = frozenset(
    (
        "CustomResourceDefinition.apiextensions.k8s.io",
        "ResourceQuota",
        "LimitRange",
        "ServiceAccount",
        "Role.rbac.authorization.k8s.io",
        "ClusterRole.rbac.authorization.k8s.io",
        "RoleBinding.rbac.authorization.k8s.io",
        "ClusterRoleBinding.rbac.authorization.k8s.io",
        "PriorityClass.scheduling.k8s.io",
        "RuntimeClass.node.k8s.io",
        "MutatingWebhookConfiguration.admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration.admissionregistration.k8s.io",
        "ValidatingAdmissionPolicy.admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io",
        "MutatingAdmissionPolicy.admissionregistration.k8s.io",
        "MutatingAdmissionPolicyBinding.admissionregistration.k8s.io",
    )
)


class Expected:
    """What the units of one site make, and what their cluster has already."""

    def __init__(self, api: Api, kinds: Kinds, units: Sequence[Unit]) -> None:
        self._api = api
        self._kinds = kinds
        self._defined = {kind for unit in units if (kind := defined_kind(manifest_of(unit)))}
        self._made = {split_name(u.address.name)[1] for u in units if u.address.kind == "Namespace"}
        self._homes = {str(unit.spec["namespace"]) for unit in units}
        self._there: dict[str, bool] = {}
        self._lock = threading.Lock()

    def why_not(self, unit: Unit) -> str | None:
        """Why it cannot be made here, "" where that cannot be told yet; None: the API server can be asked.

        Raises UnreachedError.
        """
        version = str(manifest_of(unit).get("apiVersion", ""))
        kind = unit.address.kind
        if self._kinds.find(kind, version.rpartition("/")[2]) is None:
            if kind in self._defined:
                return ""
            return (
                f"the cluster serves no {kind.partition('.')[0]} of {version}, and no CustomResourceDefinition for it "
                "is declared at this site"
            )
        namespace = split_name(unit.address.name)[0]
        if not namespace or self._is_there(namespace):
            return None
        if namespace in self._made | self._homes:
            return ""
        return (
            f"namespace {namespace} does not exist and nobody makes it: declare it as a Namespace, or make it the "
            "workload's `namespace`"
        )

    def _is_there(self, namespace: str) -> bool:
        with self._lock:
            if namespace not in self._there:
                try:
                    self._there[namespace] = self._api.find(namespaces.path_of(namespace)) is not None
                except RefusedError:  # who may work in a namespace need not be allowed to see it
                    self._there[namespace] = True
            return self._there[namespace]


def without_passing_refusals(found: Mapping[Address, Observation]) -> dict[Address, Observation]:
    """The same without refusals that may pass, as something that decides about them is still to be made or changed."""
    deciding = any(
        address.kind in _DECIDING and (isinstance(seen, Absent) or (isinstance(seen, Present) and seen.differences))
        for address, seen in found.items()
    )
    if not deciding:
        return dict(found)
    return {
        address: replace(seen, refused=()) if isinstance(seen, Present | Absent) and seen.refused else seen
        for address, seen in found.items()
    }
