"""The inventory that each workload leaves in its namespace: what kinds it has, and where.

With it, what has left the documents is found and pruned although every local record is lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.model.address import Address, Mode, WorkloadKey
from orchestrator.modes.agile.objects import INVENTORY, Object, labels_for, metadata


@dataclass(frozen=True, slots=True)
class Inventory:
    """A workload's kinds (`Deployment.apps`), each with the namespaces that it is in; empty for none."""

    workload: WorkloadKey
    namespace: str
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its ConfigMap; the estate is in the labels."""
        return f"orchestrator.{self.workload.site}.{self.workload.placement}.{self.workload.workload}"

    @property
    def path(self) -> str:
        """Where its ConfigMap is."""
        return f"/api/v1/namespaces/{self.namespace}/configmaps/{self.name}"

    def including(self, addresses: Iterable[Address]) -> Inventory:
        """The same with these units in it."""
        kinds = {kind: set(namespaces) for kind, namespaces in self.kinds.items()}
        for address in addresses:
            kinds.setdefault(address.kind, set()).add(address.name.rpartition("/")[0])
        return Inventory(self.workload, self.namespace, {kind: frozenset(names) for kind, names in kinds.items()})

    def manifest(self, estate_id: str) -> dict[str, Any]:
        """The ConfigMap that holds it."""
        anything = Address(*_parts(self.workload), "-", "-")
        kinds = [{"kind": kind, "namespaces": sorted(names)} for kind, names in sorted(self.kinds.items())]
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": {**labels_for(estate_id, anything), INVENTORY: "true"},
            },
            "data": {"workload": str(self.workload), "kinds": json.dumps(kinds)},
        }


def _parts(key: WorkloadKey) -> tuple[str, str, Mode, str]:
    return key.site, key.placement, key.mode, key.workload


def is_inventory(thing: Object) -> bool:
    """Whether a ConfigMap is an inventory."""
    labels = metadata(thing).get("labels")
    return isinstance(labels, Mapping) and INVENTORY in labels


def inventory_of(thing: Object) -> Inventory | None:
    """What a ConfigMap that `is_inventory` says; None where somebody has spoilt it."""
    try:
        data = thing["data"]
        site, placement, mode, workload = str(data["workload"]).split("/")
        kinds = {str(e["kind"]): frozenset(map(str, e["namespaces"])) for e in json.loads(data["kinds"])}
    except (KeyError, ValueError, TypeError):
        return None
    return Inventory(WorkloadKey(site, placement, Mode(mode), workload), str(metadata(thing).get("namespace")), kinds)
