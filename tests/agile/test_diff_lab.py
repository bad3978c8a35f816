"""Differences that people trust: the real API server's dry run is the judge, our own comparison the filter."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.model.change import Action
from orchestrator.model.observation import Difference
from orchestrator.model.outcome import Result
from orchestrator.model.source import Source
from orchestrator.model.unit import Unit
from tests.agile import webhooks
from tests.agile.estates import Estate, manifests, unit

pytestmark = pytest.mark.lab

CASES = yaml.safe_load((Path(__file__).parent / "awkward_objects.yaml").read_text())


def objects(namespace: str, which: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The objects of the cases, in this namespace where they have one."""
    made = {}
    for case in which:
        one = copy.deepcopy(case["object"])
        if not case.get("cluster"):
            one["metadata"]["namespace"] = namespace
        made[f"{one['kind']}/{one['metadata']['name']}"] = one
    return made


def edited(thing: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The object with values put at `a/b/0/c`; `DELETE` takes one away."""
    made: Any = copy.deepcopy(thing)
    for path, value in changes.items():
        at = made
        *before, last = path.split("/")
        for name in before:
            at = at[int(name)] if isinstance(at, list) else at.setdefault(name, {})
        if value == "DELETE":
            del at[last]
        else:
            at[int(last) if isinstance(at, list) else last] = value
    return made  # type: ignore[no-any-return]


def found_by(differences: tuple[Difference, ...]) -> list[str]:
    return [f"{d.path}{' replace' if d.replace else ''}" for d in differences]


def compared(estate: Estate, one: Unit) -> list[str] | str:
    """What a plan would show of a unit whose object was seen before, without seeing everything again."""
    live = estate.driver._seen.live[one.identity]
    found = estate.driver._reach().comparer.compare(one, live)
    return "; ".join(each.why for each in found.refused) if found.refused else found_by(found.differences)


def test_awkward_objects_show_no_difference_and_each_change_of_one_shows_exactly_its_field(estate: Estate) -> None:
    things = objects("awkward", CASES)
    units = {name: unit(thing, timeout=1) for name, thing in things.items()}
    definitions = [one for one in units.values() if one.address.kind.startswith("CustomResourceDefinition")]
    assert {o.result for o in estate.apply(definitions).values()} == {Result.DONE}
    outcomes = estate.apply(list(units.values()))  # some never become ready here; what counts is what they look like
    failed = {n: o.message for n, o in outcomes.items() if o.result != Result.DONE and "not ready" not in o.message}
    assert failed == {}
    seen = estate.observe(list(units.values())).units
    left = {name: found_by(seen[one.address].differences) for name, one in units.items()}
    assert left == {name: [] for name in units}
    wrong = []
    for case in CASES:
        name = f"{case['object']['kind']}/{case['object']['metadata']['name']}"
        for then in case.get("then", ()):
            found = compared(estate, unit(edited(things[name], then["set"])))
            expected = then.get("refused", then.get("shows"))
            if found != expected and not (isinstance(found, str) and str(expected) in found):
                wrong.append((name, then["set"], found, expected))
    assert not wrong, "\n".join(map(str, wrong))
    for one in units.values():  # what is in no namespace is nobody's to find after this test
        if "/" not in one.address.name:
            estate.kubectl("delete", "--wait=false", one.address.kind, one.address.name)


def deployment(namespace: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "web", "image": "nginx:1", "env": [{"name": "A", "value": "1"}]}
    pods = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": pods, **spec},
    }


def test_what_a_webhook_changes_is_no_difference_and_what_differs_beside_it_is(estate: Estate, tmp_path: Path) -> None:
    """It rewrites a declared field, adds one, and puts a container beside ours, as registries' and meshes' ones do."""

    def mirrored(thing: dict[str, Any]) -> webhooks.Patch:
        containers = thing["spec"]["template"]["spec"]["containers"]
        at = "/spec/template/spec/containers"
        patch = [
            {"op": "replace", "path": f"{at}/{n}/image", "value": f"mirror.local/{c['image']}"}
            for n, c in enumerate(containers)
            if not c["image"].startswith("mirror.local/")
        ]
        if not any(c["name"] == "sidecar" for c in containers):
            patch.append({"op": "add", "path": f"{at}/-", "value": {"name": "sidecar", "image": "mirror.local/side:1"}})
        return [*patch, {"op": "add", "path": "/spec/minReadySeconds", "value": 1}]

    with webhooks.serving(tmp_path / "hook", mirrored) as hook:
        given = hook.configuration("mirror", "hooked", resources=["deployments"], groups=["apps"])
        estate.kubectl("apply", "-f", "-", stdin=json.dumps(given))
        try:
            one = unit(deployment("hooked", replicas=1))
            estate.converge([one])
            assert estate.field("hooked", "deployment/web", "{.spec.template.spec.containers[*].image}") == (
                "mirror.local/nginx:1 mirror.local/side:1"
            )
            changed = unit(
                edited(deployment("hooked", replicas=2), {"spec/template/spec/containers/0/image": "nginx:2"})
            )
            assert found_by(estate.judge(changed).differences) == [
                "spec.replicas",
                "spec.template.spec.containers[web].image",
            ]
            (image,) = [d for d in estate.judge(changed).differences if d.path.endswith("image")]
            assert (image.old, image.new) == ("mirror.local/nginx:1", "mirror.local/nginx:2")
            estate.converge([changed])
            estate.kubectl("-n", "hooked", "set", "image", "deployment/web", "web=evil:1")
            (image,) = estate.judge(changed).differences
            assert (image.old, image.new, image.by) == (
                "mirror.local/evil:1",
                "mirror.local/nginx:2",
                "kubectl-set",
            )
            assert "Deployment dry" in hook.reviewed
        finally:
            estate.kubectl("delete", "mutatingwebhookconfiguration", "mirror")
    assert estate.judge(unit(deployment("hooked", replicas=1))).action == Action.UPDATE


def contested(namespace: str, choice: str) -> Unit:
    return unit(deployment(namespace, replicas=2), contested=choice)


def test_a_contested_field_is_healed_reported_or_left_as_the_workload_says(estate: Estate) -> None:
    estate.converge([contested("contested", "heal")])
    estate.kubectl("-n", "contested", "scale", "deployment", "web", "--replicas=5")
    estate.kubectl("-n", "contested", "rollout", "status", "deployment/web")
    heal, report, left = (estate.judge(contested("contested", choice)) for choice in ("heal", "report", "yield"))
    assert (heal.action, heal.drift, heal.reason) == (Action.UPDATE, True, "drifted: spec.replicas 2 → 5 (kubectl)")
    assert (report.action, report.drift) == (Action.NONE, True)
    assert report.reason == "drifted, only reported: spec.replicas 2 → 5 (kubectl)"
    assert (left.action, left.drift, left.differences) == (Action.NONE, False, ())
    for choice in ("report", "yield"):  # another field is applied, and theirs stays as it is
        thing = edited(deployment("contested", replicas=2), {"spec/template/spec/containers/0/env/0/value": choice})
        one = unit(thing, contested=choice)
        assert [d.path for d in estate.judge(one).differences if not d.kept] == [
            "spec.template.spec.containers[web].env[A].value"
        ]
        assert {o.result for o in estate.apply([one]).values()} == {Result.DONE}
        assert estate.field("contested", "deployment/web", "{.spec.replicas}") == "5"
    estate.converge([contested("contested", "heal")])
    assert estate.field("contested", "deployment/web", "{.spec.replicas}") == "2"


def test_two_managers_that_keep_changing_one_field_are_named_as_fighting(estate: Estate) -> None:
    one = contested("fight", "heal")
    estate.converge([one])
    for times in range(3):
        estate.kubectl("-n", "fight", "scale", "deployment", "web", "--replicas=5")
        (found,) = estate.judge(one).differences
        assert (found.by, found.healed) == ("kubectl", times)
        if times == 2:
            assert "(kubectl, fought over: set back 2 times within the hour)" in estate.judge(one).reason
        estate.converge([one])


def test_ignored_paths_stay_as_others_have_made_them(estate: Estate) -> None:
    paths = ("spec.template.spec.containers[web].env[A].value", "metadata.annotations[acme.com/note]")
    thing = edited(deployment("ignored"), {"metadata/annotations": {"acme.com/note": "first"}})
    one = unit(thing, ignore=paths)
    estate.converge([one])
    estate.kubectl("-n", "ignored", "set", "env", "deployment/web", "A=9")
    estate.kubectl("-n", "ignored", "annotate", "--overwrite", "deployment/web", "acme.com/note=theirs")
    assert estate.judge(one).differences == ()
    more = unit(edited(thing, {"spec/replicas": 2}), ignore=paths)
    estate.converge([more])
    assert estate.field("ignored", "deployment/web", "{.spec.template.spec.containers[0].env[0].value}") == "9"
    assert estate.field("ignored", "deployment/web", "{.metadata.annotations.acme\\.com/note}") == "theirs"
    assert estate.field("ignored", "deployment/web", "{.spec.replicas}") == "2"


SCALER = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: scaler}
spec: {minReplicas: 3, maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
"""


def test_an_autoscaler_in_another_workload_has_the_replicas_to_itself(estate: Estate) -> None:
    estate.converge([unit(deployment("scaler", replicas=2))])
    (scaler,) = (unit(m, workload="scaling") for m in manifests(SCALER))
    estate.kubectl("-n", "scaler", "scale", "deployment", "web", "--replicas=4")  # as the autoscaler would
    estate.kubectl("-n", "scaler", "rollout", "status", "deployment/web")
    one = unit(deployment("scaler", replicas=2))
    assert set(estate.actions([one])) == {"Deployment.apps/scaler/web"}
    assert set(estate.actions([one, scaler])) == {"HorizontalPodAutoscaler.autoscaling/scaler/web"}
    without = deployment("scaler")  # the declaration gives up the replicas: they stay as they are
    assert {o.result for o in estate.apply([unit(without), scaler]).values()} == {Result.DONE}
    assert estate.field("scaler", "deployment/web", "{.spec.replicas}") == "4"
    assert estate.plan([unit(without), scaler]) == {}


def test_what_the_server_would_refuse_is_said_by_the_plan_with_its_place(estate: Estate) -> None:
    estate.converge([unit(deployment("refused"))])
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "refused"}}
    cases = {
        "spec.ports[0].port: Invalid value: 800000: must be between 1 and 65535, inclusive (web.yaml:1:1)": {
            **service,
            "spec": {"ports": [{"port": 800000, "targetPort": 80}]},
        },
        "no CustomResourceDefinition for it is declared": {**service, "apiVersion": "no.such/v1", "kind": "Thing"},
        "namespace nowhere does not exist and nobody makes it": {
            **service,
            "metadata": {"name": "web", "namespace": "nowhere"},
            "spec": {"ports": [{"port": 80}]},
        },
    }
    for said, manifest in cases.items():
        change = estate.judge(unit(manifest, namespace="refused"))
        assert change.action == Action.CONFLICT
        assert said in change.reason


def test_what_a_webhook_refuses_is_told_with_its_name_and_the_lines_of_the_fields(
    estate: Estate, tmp_path: Path
) -> None:
    """As policy engines refuse: in several lines, or with causes; by the plan, and by an apply that comes to it."""
    causes = [{"field": "spec.replicas", "message": "too many"}, {"field": "spec.paused", "message": "never"}]
    answers = {
        "worded": {"message": "blocked by the policies\n\nrequire-owner:\n  label owner is missing\n", "code": 403},
        "caused": {"message": "see the handbook", "code": 422, "reason": "Invalid", "details": {"causes": causes}},
    }
    decide: webhooks.Decide = lambda thing: answers.get(thing["metadata"]["name"], [])
    who = 'admission webhook "guard.test.dev" denied the request'
    told = {
        "worded": [f"{who}: blocked by the policies require-owner: label owner is missing (web.yaml:1:1)"],
        "caused": [
            f"{who}: see the handbook (web.yaml:1:1)",
            "spec.replicas: too many (spec.replicas:7:3)",
            "spec.paused: never (spec:7:3)",
        ],
    }
    there = unit(deployment("guarded"))
    estate.converge([there])
    with webhooks.serving(tmp_path / "hook", decide) as hook:
        given = hook.configuration("guard", "guarded", resources=["deployments"], groups=["apps"], mutating=False)
        estate.kubectl("apply", "-f", "-", stdin=json.dumps(given))
        try:
            for name, expected in told.items():
                thing = edited(deployment("guarded", replicas=2), {"metadata/name": name})
                one = dataclasses.replace(unit(thing), at=lambda path: Source(".".join(map(str, path)), 7, 3))
                change = estate.judge(one)
                assert change.action == Action.CONFLICT
                assert change.reason == f"the cluster refuses it: {'; '.join(expected)}"
                (outcome,) = estate.apply([there, one]).values()
                assert outcome.result == Result.FAILED
                said = outcome.message.split("\n")
                assert said == expected if len(expected) > 1 else f"{said[0]} ({outcome.where})" == expected[0]
        finally:
            estate.kubectl("delete", "validatingwebhookconfiguration", "guard")
