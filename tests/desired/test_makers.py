"""What makes a kind or a namespace comes before what another workload has of it."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.desired.makers import with_makers
from orchestrator.model.address import Address
from orchestrator.model.source import Source
from orchestrator.model.unit import Unit

DEFINITION = "lab/shop/agile/operator/CustomResourceDefinition.apiextensions.k8s.io/shops.acme.com"
NAMESPACE = "lab/shop/agile/base/Namespace/doors"
SHOP = "lab/shop/agile/doors/Shop.acme.com/doors/one"
KINDS = {"spec": {"group": "acme.com", "names": {"kind": "Shop"}}}


def unit(text: str, needs: Iterable[str] = (), **manifest: object) -> Unit:
    address = Address.parse(text)
    needed = frozenset(map(Address.parse, needs))
    return Unit(address, {"object": manifest}, {}, str(address), Source("a.yaml", 1), needs=needed)  # type: ignore[dict-item]


def needs(units: list[Unit]) -> dict[str, set[str]]:
    return {str(u.address): {str(n) for n in u.needs} for u in with_makers(units)}


def test_an_object_needs_the_definition_and_the_namespace_of_other_workloads() -> None:
    found = needs([unit(SHOP), unit(DEFINITION, **KINDS), unit(NAMESPACE)])
    assert found == {SHOP: {DEFINITION, NAMESPACE}, DEFINITION: set(), NAMESPACE: set()}


def test_inside_a_workload_and_at_another_site_nothing_is_needed() -> None:
    same = SHOP.replace("/doors/Shop", "/operator/Shop")
    elsewhere = SHOP.replace("lab/", "edge/")
    found = needs([unit(same), unit(elsewhere), unit(DEFINITION, **KINDS)])
    assert (found[same], found[elsewhere]) == (set(), set())


def test_where_the_documents_say_the_other_order_no_circle_is_made() -> None:
    found = needs([unit(SHOP), unit(DEFINITION, [SHOP], **KINDS)])
    assert found == {SHOP: set(), DEFINITION: {SHOP}}
