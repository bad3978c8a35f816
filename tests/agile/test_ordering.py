"""What comes first, and what cannot be made without what failed."""

from __future__ import annotations

from orchestrator.model.address import Address, Mode, WorkloadKey
from orchestrator.modes.agile.inventory import Inventory, inventory_of
from orchestrator.modes.agile.ordering import needs_failed, rank

CRD = {
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "x"},
    "spec": {"group": "a.b", "names": {"kind": "Shop"}},
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "n"},
    "spec": {"containers": [{"envFrom": [{"configMapRef": {"name": "settings"}}]}]},
}


def test_kinds_are_made_in_the_order_in_which_they_need_each_other() -> None:
    kinds = ["Shop.a.b", "Deployment.apps", "ConfigMap", "CustomResourceDefinition.apiextensions.k8s.io", "Namespace"]
    assert sorted(kinds, key=rank) == kinds[::-1]


def test_what_needs_what_failed_is_not_tried_and_the_rest_is() -> None:
    settings = {"kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "n"}}
    elsewhere = {"kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "m"}}
    assert needs_failed(POD, [("ConfigMap settings", settings)]) == "ConfigMap settings"
    assert needs_failed(POD, [("ConfigMap settings", elsewhere), ("CRD x", CRD)]) == ""
    assert needs_failed(POD, [("Namespace n", {"kind": "Namespace", "metadata": {"name": "n"}})]) == "Namespace n"
    assert needs_failed({"apiVersion": "a.b/v1", "kind": "Shop", "metadata": {}}, [("CRD x", CRD)]) == "CRD x"


def test_an_inventory_survives_its_config_map() -> None:
    key = WorkloadKey("lab", "shop", Mode.AGILE, "web")
    addresses = [
        Address("lab", "shop", Mode.AGILE, "web", "Service", "n/web"),
        Address("lab", "shop", Mode.AGILE, "web", "Namespace", "n"),
    ]
    inventory = Inventory(key, "n").including(addresses)
    assert inventory_of(inventory.manifest("id")) == inventory
    assert inventory_of({"data": {"workload": "spoilt"}, "metadata": {}}) is None
