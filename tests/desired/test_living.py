"""What a blueprint says of objects as they live: conditions, ignored paths, contested fields."""

from __future__ import annotations

import pytest

from tests.desired.estates import Make

FILES = {
    "m/x.yaml": """\
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web}
        ---
        apiVersion: acme.com/v1
        kind: Shop
        metadata: {name: one}
        """
}
SPEC = """
agile:
  web:
    namespace: web
    manifests: [m]
    timeout: 1m
    contested: report
    ignore:
      - {paths: ["metadata.annotations[acme.com/x]"]}
      - {kind: Deployment, name: web, paths: [spec.replicas]}
"""
WEB = "lab/shop/agile/web/Deployment.apps/web/web"
SHOP = "lab/shop/agile/web/Shop.acme.com/web/one"
RUNNING = 'object.status.phase == "Running"'


def test_ignored_paths_and_the_choice_for_contested_fields_reach_the_objects_they_are_about(make: Make) -> None:
    made = make(SPEC, FILES)
    web, shop = made.unit(WEB).spec, made.unit(SHOP).spec
    assert web["ignore"] == ["metadata.annotations[acme.com/x]", "spec.replicas"]
    assert shop["ignore"] == ["metadata.annotations[acme.com/x]"]
    assert (web["contested"], web["timeout"]) == ("report", 60)
    assert "contested" not in made.unit(WEB).inputs  # no change of what is applied


def test_a_condition_without_a_kind_is_for_custom_objects_only(make: Make) -> None:
    made = make(SPEC + f"    ready: ${{{RUNNING}}}\n", FILES)
    assert made.unit(SHOP).spec["ready"] == RUNNING
    assert "ready" not in made.unit(WEB).spec


def test_a_condition_with_a_kind_has_its_own_time(make: Make) -> None:
    condition = "object.status.readyReplicas >= 1"
    made = make(SPEC + f'    ready: [{{kind: Deployment, condition: "${{{condition}}}", within: 5m}}]\n', FILES)
    assert (made.unit(WEB).spec["ready"], made.unit(WEB).spec["timeout"]) == (condition, 300)
    assert "ready" not in made.unit(SHOP).spec


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ready: ${object.status.phase ==}", "the expression ends too early"),
        ("ready: ${parameters.x}", "`parameters` cannot be used here; here only object can be used"),
        ("ready: ${object.status.phase + 1 == 2 && 3}", "`&&` does not take a boolean and an integer"),
        ("ready: 'yes'", "`ready` must be a boolean, not a string"),
    ],
)
def test_a_condition_that_cannot_be_right_is_told_at_its_place(make: Make, line: str, message: str) -> None:
    told = make(SPEC + f"    {line}\n", FILES).check()
    assert len(told) == 1
    assert message in told[0]
    assert told[0].startswith("app/blueprint.yaml:14:")


def test_what_is_about_nothing_in_the_workload_is_a_warning(make: Make) -> None:
    found = make(SPEC.replace("name: web, paths", "name: wbe, paths"), FILES).wrong().diagnostics
    assert [(d.severity, d.message, d.hint) for d in found] == [
        ("warning", "the workload has no Deployment wbe", "it has Deployment, Shop")
    ]
