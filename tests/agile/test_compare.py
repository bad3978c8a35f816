"""Declared against live: what counts as a difference, and what does not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.model.values import Secret, Unknown
from orchestrator.modes.agile.diff.differing import differences
from orchestrator.modes.agile.diff.quantities import same


def deployment(container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    pods = {"spec": {"containers": [{"name": "web", **container}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {**spec, "template": pods},
    }


def managed(live: dict[str, Any], manager: str, tree: dict[str, Any], **entry: Any) -> dict[str, Any]:
    """The live object with one more manager of fields."""
    entries = live["metadata"].get("managedFields", [])
    made = {"manager": manager, "operation": "Apply", "apiVersion": live["apiVersion"], "fieldsV1": tree, **entry}
    return {**live, "metadata": {**live["metadata"], "managedFields": [*entries, made]}}


def paths(declared: dict[str, Any], live: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {d.path: (d.old, d.new) for d in differences(declared, live)}


def test_defaults_that_are_not_declared_are_no_difference() -> None:
    live = deployment({"image": "a", "imagePullPolicy": "Always"}, replicas=1, revisionHistoryLimit=10)
    assert paths(deployment({"image": "a"}), live) == {}


def test_a_changed_field_is_named_with_its_item_of_a_keyed_list() -> None:
    found = paths(
        deployment({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}),
        deployment({"env": [{"name": "B", "value": "3"}, {"name": "A", "value": "1"}]}),
    )
    assert found == {"spec.template.spec.containers[web].env[B].value": ("3", "2")}


def test_names_with_dots_and_slashes_are_in_brackets() -> None:
    live = {"apiVersion": "v1", "kind": "Service", "metadata": {"annotations": {"acme/domain": "a"}}}
    declared = {"apiVersion": "v1", "kind": "Service", "metadata": {"annotations": {"acme/domain": "b"}}}
    assert paths(declared, live) == {"metadata.annotations[acme/domain]": ("a", "b")}


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("1", "1000m", True),
        (1, "1", True),
        ("1Gi", "1024Mi", True),
        ("1e3", "1k", True),
        ("0.5", "500m", True),
        ("1", "2", False),
        ("x", "x", False),
        (True, "1", False),
        ("1G", "1Gi", False),
    ],
)
def test_quantities(one: Any, other: Any, equal: bool) -> None:
    assert same(one, other) is equal


def test_quantities_are_equal_only_where_there_are_quantities() -> None:
    def limits(value: str) -> dict[str, Any]:
        return deployment({"resources": {"limits": {"cpu": value}}, "env": [{"name": "CPUS", "value": value}]})

    assert paths(limits("1"), limits("1000m")) == {"spec.template.spec.containers[web].env[CPUS].value": ("1000m", "1")}


def test_empty_and_zero_values_that_the_server_leaves_out_are_no_difference() -> None:
    declared = deployment({"args": [], "resources": {}, "env": [{"name": "A", "value": ""}], "tty": False})
    assert paths(declared, deployment({"env": [{"name": "A"}]})) == {}


def test_a_false_that_somebody_removed_is_a_difference() -> None:
    declared = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "x"},
        "automountServiceAccountToken": False,
    }
    live = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x"}}
    assert paths(declared, managed(live, "orchestrator", {"f:automountServiceAccountToken": {}})) == {}
    assert paths(declared, managed(live, "orchestrator", {"f:metadata": {}})) == {
        "automountServiceAccountToken": (None, False)
    }


def test_string_data_is_compared_with_data_and_masked() -> None:
    declared = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "x"},
        "stringData": {"p": Secret("new"), "q": "same"},
    }
    live = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "data": {"p": "b2xk", "q": "c2FtZQ=="}}
    (found,) = differences(declared, live)
    assert (found.path, str(found.old), str(found.new)) == ("data.p", "(secret)", "(secret)")
    assert found.old != found.new


def test_data_of_a_secret_is_masked_even_where_it_is_declared_in_clear() -> None:
    declared = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "data": {"p": "bmV3"}}
    live = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "data": {"p": "b2xk"}}
    (found,) = differences(declared, live)
    assert (str(found.old), str(found.new)) == ("(secret)", "(secret)")


def test_a_removed_value_that_is_a_known_secret_is_masked() -> None:
    live = managed(
        deployment({"args": ["--password=hunter2"]}),
        "orchestrator",
        {
            "f:spec": {
                "f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:name": {}, "f:args": {}}}}}
            }
        },
    )
    (found,) = differences(deployment({}), live, secret=lambda text: "hunter2" in text)
    assert (found.path, str(found.old), found.new) == ("spec.template.spec.containers[web].args", "[(secret)]", None)


def test_unknown_values_are_not_compared() -> None:
    declared = deployment({"image": Unknown(), "env": [{"name": "A", "value": Unknown(secret=True)}]}, replicas=2)
    assert paths(declared, deployment({"image": "x", "env": [{"name": "A", "value": "y"}]}, replicas=3)) == {
        "spec.replicas": (3, 2)
    }


def test_what_another_manager_changed_is_blamed_on_it() -> None:
    live = managed(deployment({}, replicas=5), "orchestrator", {"f:spec": {"f:template": {}}})
    live = managed(
        live,
        "kubectl",
        {"f:spec": {"f:replicas": {}}},
        operation="Update",
        subresource="scale",
        apiVersion="autoscaling/v1",
    )
    (found,) = differences(deployment({}, replicas=3), live)
    assert (found.path, found.by) == ("spec.replicas", "kubectl")


def test_what_was_ours_and_is_declared_no_more_is_a_difference_and_others_fields_are_not() -> None:
    live = deployment({}, replicas=5, paused=True)
    live = managed(live, "orchestrator", {"f:spec": {"f:replicas": {}}})
    assert paths(deployment({}), managed(live, "other", {"f:spec": {"f:paused": {}}})) == {"spec.replicas": (5, None)}


def test_members_of_a_set_that_others_add_are_left_alone() -> None:
    def shop(tags: list[str]) -> dict[str, Any]:
        return {"apiVersion": "a.b/v1", "kind": "Shop", "metadata": {"name": "x"}, "spec": {"tags": tags}}

    def owned(*tags: str) -> dict[str, Any]:
        return {"f:spec": {"f:tags": {f'v:"{tag}"': {} for tag in tags}}}

    live = managed(managed(shop(["a", "b", "c"]), "orchestrator", owned("a", "c")), "other", owned("b"))
    assert paths(shop(["a"]), live) == {"spec.tags[c]": ("c", None)}


def test_a_list_that_is_a_whole_is_shown_whole() -> None:
    found = paths(deployment({"args": ["a", "b"]}), deployment({"args": ["b", "a"]}))
    assert found == {"spec.template.spec.containers[web].args": (["b", "a"], ["a", "b"])}


@pytest.mark.parametrize(
    ("kind", "version", "old", "new", "forced"),
    [
        ("Deployment", "apps/v1", {"selector": {"a": "b"}}, {"selector": {"a": "c"}}, True),
        ("Deployment", "apps/v1", {"replicas": 1}, {"replicas": 2}, False),
        ("StatefulSet", "apps/v1", {"serviceName": "a"}, {"serviceName": "b"}, True),
        ("StatefulSet", "apps/v1", {"replicas": 1}, {"replicas": 2}, False),
        ("Job", "batch/v1", {"template": {"spec": {"a": 1}}}, {"template": {"spec": {"a": 2}}}, True),
        ("Job", "batch/v1", {"parallelism": 1}, {"parallelism": 2}, False),
        ("Service", "v1", {"clusterIP": "10.0.0.1"}, {"clusterIP": "None"}, True),
        ("PersistentVolumeClaim", "v1", {"storageClassName": "a"}, {"storageClassName": "b"}, True),
        (
            "PersistentVolumeClaim",
            "v1",
            {"resources": {"requests": {"storage": "1Gi"}}},
            {"resources": {"requests": {"storage": "2Gi"}}},
            False,
        ),
        (
            "Pod",
            "v1",
            {"containers": [{"name": "a", "image": "x"}]},
            {"containers": [{"name": "a", "image": "y"}]},
            False,
        ),
        (
            "Pod",
            "v1",
            {"containers": [{"name": "a", "tty": True}]},
            {"containers": [{"name": "a", "tty": False}]},
            True,
        ),
    ],
)
def test_fields_that_cannot_be_changed_force_a_replacement(
    kind: str, version: str, old: Any, new: Any, forced: bool
) -> None:
    def thing(spec: Any) -> dict[str, Any]:
        return {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}

    (found,) = differences(thing(new), thing(old))
    assert found.replace is forced


def test_an_immutable_config_map_is_replaced() -> None:
    live = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "immutable": True, "data": {"a": "1"}}
    (found,) = differences({**live, "data": {"a": "2"}}, live)
    assert found.replace


def test_when_another_manager_changed_a_field_is_told_as_well_as_it_is_known() -> None:
    ours = managed(deployment({"image": "b"}, replicas=5), "orchestrator", {"f:spec": {}}, time="2026-11-25T10:00:00Z")
    scaled = managed(ours, "kubectl", {"f:spec": {"f:replicas": {}}}, time="2026-11-25T11:00:00Z", operation="Update")
    image = {"f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}, "f:tty": {}}}}}}
    edited = managed(scaled, "editor", {"f:spec": image}, time="2026-11-25T12:00:00Z", operation="Update")
    found = {d.path: d.since for d in differences(deployment({"image": "a"}, replicas=2), edited)}
    applied, one, other = (datetime(2026, 11, 25, hour, tzinfo=UTC).timestamp() for hour in (10, 11, 12))
    assert found == {
        "spec.replicas": (one, one),
        "spec.template.spec.containers[web].image": (applied, other),
    }


def test_when_nobody_else_changed_it_there_is_no_time() -> None:
    (found,) = differences(deployment({}, replicas=2), deployment({}, replicas=5))
    assert found.since is None
