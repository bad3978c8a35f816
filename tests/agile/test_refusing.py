"""What a refusal says, and which lines it is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.model.source import Source
from orchestrator.modes.agile.client.api import RefusedError
from orchestrator.modes.agile.refusing import refusals
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
    return Source(".".join(map(str, path)), 7, 3)


def found(refused: RefusedError, **more: object) -> list[tuple[str, str]]:
    one = replace(unit(MANIFEST), **{"at": at, **more})  # type: ignore[arg-type]
    return [(each.why, each.where.removesuffix(":7:3")) for each in refusals(one, refused, hide)]


def hide(text: str) -> str:
    return text.replace("s3cret", "(secret)")


def caused(*fields: str, message: str = "") -> RefusedError:
    causes = tuple({"field": field, "message": f"no {number}"} for number, field in enumerate(fields))
    return RefusedError(422, "Invalid", message, causes)


def typed(field: str) -> RefusedError:
    return RefusedError(500, "", TYPED.format(field))


CONTAINER = "spec.template.spec.containers.1"


@pytest.mark.parametrize(
    ("refused", "field"),
    [
        (caused("spec.replicas"), "spec.replicas"),
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
        (caused("status.x"), "web.yaml:1:1"),
        (RefusedError(403, "Forbidden", "quota: no"), "web.yaml:1:1"),
    ],
)
def test_a_refusal_is_at_the_field_that_it_names_or_at_the_object(refused: RefusedError, field: str) -> None:
    ((_, where),) = found(refused)
    assert where == field


def test_each_cause_has_a_place_of_its_own() -> None:
    assert found(caused("spec.replicas", "spec.template.spec.containers[1].image", "spec.replicas")) == [
        ("spec.replicas: no 0", "spec.replicas"),
        ("spec.template.spec.containers[1].image: no 1", f"{CONTAINER}.image"),
        ("spec.replicas: no 2", "spec.replicas"),
    ]
    two = TYPED.partition("{}")[0] + "errors:\n  .spec.replicas: expected numeric\n  .spec.nope: not in schema\n"
    assert found(RefusedError(500, "", two)) == [
        ("spec.replicas: expected numeric", "spec.replicas"),
        ("spec.nope: not in schema", "spec"),
    ]


def test_of_very_many_causes_the_first_are_told_and_how_many_there_are_more() -> None:
    many = found(caused(*["spec.replicas"] * 14))
    assert len(many) == 11
    assert many[-1] == ("and 4 more", "web.yaml:1:1")


WHO = 'admission webhook "deny.test.dev" denied the request'
POLICY = "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request"


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (RefusedError(403, "", f"{WHO}: no\n\n  two: lines\n"), [(f"{WHO}: no two: lines", "web.yaml:1:1")]),
        (RefusedError(403, "", f"{WHO} without explanation"), [(f"{WHO}: without explanation", "web.yaml:1:1")]),
        (RefusedError(422, "", f"{POLICY}: no", ({"message": f"{POLICY}: no"},)), [(f"{POLICY}: no", "web.yaml:1:1")]),
        (
            caused("spec.replicas", message=f"{WHO}: see the handbook"),
            [(f"{WHO}: see the handbook", "web.yaml:1:1"), ("spec.replicas: no 0", "spec.replicas")],
        ),
        (
            caused("spec.replicas", message=f'{WHO}: Deployment "x" is invalid: spec.replicas: no 0'),
            [(WHO, "web.yaml:1:1"), ("spec.replicas: no 0", "spec.replicas")],
        ),
    ],
)
def test_who_refuses_in_an_admission_is_told_with_all_its_words(
    refused: RefusedError, told: list[tuple[str, str]]
) -> None:
    assert found(refused) == told


def test_no_part_of_a_secret_is_in_what_is_cut() -> None:
    ((why, _),) = found(RefusedError(403, "Forbidden", "x" * 297 + "s3cret"))
    assert "s3" not in why
    ((why, _),) = found(RefusedError(422, "", "", ({"field": "spec.replicas", "message": "x" * 282 + "s3cret"},)))
    assert "s3" not in why


def test_fields_without_places_are_told_at_the_object() -> None:
    assert found(caused("spec.replicas"), at=None) == [("spec.replicas: no 0", "web.yaml:1:1")]


def test_a_unit_is_the_same_wherever_its_fields_come_from() -> None:
    one: Any = unit(MANIFEST)
    assert replace(one, at=at) == one


def test_whole_templates_that_servers_repeat_are_left_out() -> None:
    template = '{"labels":{"a":"b"},"Spec":{"Volumes":null,"Containers":[{"Name":"c","Image":"y","TTY":false}]}}'
    message = f"Invalid value: {template}: field is immutable"
    long = RefusedError(422, "Invalid", "…", ({"field": "spec.template", "message": message},))
    assert [why for why, _ in found(long)] == ["spec.template: field is immutable"]
    diff = "Forbidden: spec is immutable after creation\n@@ -1,6 +1,6 @@\n {\n"
    assert [why for why, _ in found(RefusedError(422, "Invalid", "…", ({"field": "spec", "message": diff},)))] == [
        "spec: Forbidden: spec is immutable after creation"
    ]
