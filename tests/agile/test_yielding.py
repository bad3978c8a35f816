"""Fields that are left to others: which they are, and what is applied instead. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.model.observation import Difference
from orchestrator.modes.agile.client.api import RefusedError
from orchestrator.modes.agile.diff.healing import healing, with_history
from orchestrator.modes.agile.diff.judging import forced, webhook_trouble
from orchestrator.modes.agile.diff.yielding import steps, with_live


def thing(spec: dict[str, Any], *managers: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    fields = [
        {
            "manager": name,
            "operation": "Apply" if name == "orchestrator" else "Update",
            "apiVersion": "a/v1",
            "fieldsV1": tree,
        }
        for name, tree in managers
    ]
    return {"apiVersion": "a/v1", "kind": "Thing", "metadata": {"name": "x", "managedFields": fields}, "spec": spec}


def test_a_path_has_fields_and_labels_of_items() -> None:
    assert steps("spec.containers[web].env[A].value") == ("spec", "containers", "web", "env", "A", "value")
    assert steps("metadata.annotations[acme.com/note]") == ("metadata", "annotations", "acme.com/note")


@pytest.mark.parametrize(
    ("live", "managers", "expected"),
    [
        ({"n": 5}, [("kubectl", {"f:spec": {"f:n": {}}})], {}),  # theirs: it stays without us
        ({"n": 5}, [("orchestrator", {"f:spec": {"f:n": {}}})], {"n": 5}),  # only ours: it would go without us
        ({}, [("orchestrator", {"f:spec": {}})], {}),  # taken away: not put back
        ({"n": 5}, [], {"n": 5}),
    ],
)
def test_what_is_applied_for_a_field_that_is_left(live: Any, managers: Any, expected: Any) -> None:
    made = with_live(thing({"n": 2}), thing(live, *managers), ["spec.n"])
    assert made["spec"] == expected


def test_a_field_that_is_declared_no_more_stays_where_only_we_hold_it_and_it_is_left() -> None:
    live = thing({"n": 5, "m": 1}, ("orchestrator", {"f:spec": {"f:n": {}}}))
    assert with_live(thing({}), live, ["spec.n", "spec.m"])["spec"] == {"n": 5}


def test_items_are_found_by_their_keys_their_place_or_all_of_them() -> None:
    def web(image: str) -> dict[str, Any]:
        return thing({"containers": [{"name": "a", "image": image}, {"name": "b", "image": image}]})

    def images(path: str) -> list[str]:
        spec: Any = with_live(web("declared"), web("live"), [path])["spec"]
        return [one["image"] for one in spec["containers"]]

    assert images("spec.containers[b].image") == ["declared", "live"]
    assert images("spec.containers[0].image") == ["live", "declared"]
    assert images("spec.containers[*].image") == ["live", "live"]
    assert images("spec.containers[c].image") == ["declared", "declared"]


def test_what_was_set_back_is_remembered_for_an_hour_and_for_its_manager_only() -> None:
    now = 1000.0
    marks = healing([Difference("spec.n", 5, 2, by="kubectl"), Difference("spec.m", 1, 2)], thing({}), now)
    live = thing({})
    live["metadata"]["annotations"] = marks
    by_kubectl, by_other = Difference("spec.n", 5, 2, by="kubectl"), Difference("spec.n", 5, 2, by="other")
    assert [d.healed for d in with_history([by_kubectl, by_other], live, now + 60)] == [1, 0]
    assert [d.healed for d in with_history([by_kubectl], live, now + 4000)] == [0]
    again = healing(with_history([by_kubectl], live, now + 60), live, now + 60)
    assert '"times":2' in str(again)


def refusal(status: int, message: str, *causes: tuple[str, str]) -> RefusedError:
    return RefusedError(status, "Invalid", message, tuple({"field": f, "message": m} for f, m in causes))


def test_a_replacement_is_forced_only_where_nothing_else_is_refused() -> None:
    image = [Difference("spec.template.spec.containers[c].image", "x", "y")]
    immutable = ("spec.template", "field is immutable")
    assert [d.replace for d in forced(refusal(422, "", immutable), image)] == [True]
    assert forced(refusal(422, "", immutable, ("spec.n", "must be at least 1")), image) == ()
    assert forced(refusal(422, "", ("metadata.labels", "field is immutable")), image) == ()


def test_a_deployment_whose_defaults_forbid_to_recreate_is_replaced() -> None:
    why = "Forbidden: may not be specified when strategy `type` is 'Recreate'"
    refused = refusal(422, "", ("spec.strategy.rollingUpdate", why))
    kind = [Difference("spec.strategy.type", "RollingUpdate", "Recreate")]
    declared: dict[str, Any] = {"spec": {"strategy": {"type": "Recreate"}}}
    assert [d.replace for d in forced(refused, kind, declared)] == [True]
    declared["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": 1}
    assert forced(refused, kind, declared) == ()


def test_a_webhook_that_cannot_be_asked_is_told_from_one_that_says_no() -> None:
    down = 'Internal error occurred: failed calling webhook "a.b": failed to call webhook: Post "https://x": refused'
    assert webhook_trouble(refusal(500, down)) == 'webhook a.b is not ready: Post "https://x": refused'
    assert webhook_trouble(refusal(422, 'admission webhook "a.b" denied the request: no')) == ""
