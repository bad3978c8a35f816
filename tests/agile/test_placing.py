"""Which line a refusal is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.model.source import Source
from orchestrator.modes.agile.api import RefusedError
from orchestrator.modes.agile.placing import place
from tests.agile.estates import unit

PORTS = [{"containerPort": 80, "name": "http"}, {"containerPort": "x"}]
CONTAINERS = [{"name": "one"}, {"name": "two", "image": "x", "ports": PORTS}]
MANIFEST = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "shop", "annotations": {"a.b/c": "d"}},
    "spec": {"replicas": -1, "template": {"spec": {"containers": CONTAINERS}}},
}
TYPED = "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): {}: expected numeric, got string"


def at(path: tuple[str | int, ...]) -> Source:
    return Source(".".join(map(str, path)), 7)


def caused(*fields: str) -> RefusedError:
    return RefusedError(422, "Invalid", "", tuple({"field": field, "message": "no"} for field in fields))


def typed(field: str) -> RefusedError:
    return RefusedError(500, "", TYPED.format(field))


CONTAINER = "spec.template.spec.containers.1"


@pytest.mark.parametrize(
    ("refused", "field"),
    [
        (caused("spec.replicas", "spec.other"), "spec.replicas"),
        (caused("spec.template.spec.containers[1].image"), f"{CONTAINER}.image"),
        (caused("metadata.annotations[a.b/c]"), "metadata.annotations.a.b/c"),
        (caused("spec.template.spec.containers[1].resources.limits"), CONTAINER),  # as near as is written
        (caused("spec.template.spec.containers[9].image"), "spec.template.spec.containers"),
        (typed(".spec.replicas"), "spec.replicas"),
        (
            typed('.spec.template.spec.containers[name="two"].ports[containerPort="x",protocol="TCP"].containerPort'),
            f"{CONTAINER}.ports.1.containerPort",
        ),
        (typed('.spec.template.spec.containers[name="no"].image'), "spec.template.spec.containers"),
    ],
)
def test_a_refusal_is_at_the_field_that_it_names(refused: RefusedError, field: str) -> None:
    assert place(replace(unit(MANIFEST), at=at), refused) == f"{field}:7"


@pytest.mark.parametrize("refused", [caused("status.x"), caused(), RefusedError(403, "Forbidden", "quota: no")])
def test_a_refusal_that_names_no_field_of_ours_is_about_the_whole_object(refused: RefusedError) -> None:
    assert place(replace(unit(MANIFEST), at=at), refused) == ""


def test_fields_without_places_have_none() -> None:
    assert place(unit(MANIFEST), caused("spec.replicas")) == ""


def test_a_unit_is_the_same_wherever_its_fields_come_from() -> None:
    one: Any = unit(MANIFEST)
    assert replace(one, at=at) == one
