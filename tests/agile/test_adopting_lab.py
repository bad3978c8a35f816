"""Taking over what others have made, without a restart, and what has moved; on a real cluster."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.model.change import Action
from orchestrator.model.observation import Present
from orchestrator.model.outcome import Result
from orchestrator.model.source import Source
from orchestrator.model.unit import Unit
from tests.agile import webhooks
from tests.agile.estates import Estate, unit

pytestmark = pytest.mark.lab

HELM = {
    "labels": {"app.kubernetes.io/managed-by": "Helm"},
    "annotations": {"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "theirs"},
}


def web(
    name: str, namespace: str = "adopted", image: str = "nginx:1", *, more: bool = True, **meta: Any
) -> dict[str, Any]:
    env = [{"name": "A", "value": "1"}, *([{"name": "OLD", "value": "1"}] if more else [])]
    pods = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "web", "image": image, "env": env}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "adopted", **meta},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": pods},
    }


SERVER_SIDE = ["apply", "--server-side", "-f", "-"]
MAKERS = {
    "client": (["apply", "-f", "-"], {}, "kubectl apply"),
    "server": (SERVER_SIDE, {}, "kubectl apply --server-side"),
    "created": (["create", "-f", "-"], {}, "kubectl-create"),
    "helm": (
        ["apply", "--server-side", "--field-manager=helm", "-f", "-"],
        HELM,
        "Helm release shop in namespace theirs",
    ),
    "pulumi": ([*SERVER_SIDE, "--field-manager=pulumi-kubernetes-1a2b3c4d"], {}, "Pulumi"),
}


def test_what_others_have_made_is_adopted_without_a_restart_and_is_ours_alone_afterwards(estate: Estate) -> None:
    estate.kubectl("create", "namespace", "adopted")
    for name, (command, meta, _) in MAKERS.items():
        estate.kubectl(*command, stdin=json.dumps(web(name, **meta)))
    for name in MAKERS:
        estate.kubectl("-n", "adopted", "rollout", "status", f"deployment/{name}")
    pods = estate.kubectl("-n", "adopted", "get", "pods", "-o", "name")
    units = {name: unit(web(name)) for name in MAKERS}
    said = {name: estate.judge(one) for name, one in units.items()}
    assert {name: change.action for name, change in said.items()} == dict.fromkeys(MAKERS, Action.CONFLICT)
    assert [name for name, change in said.items() if f"(made by {MAKERS[name][2]})" not in change.reason] == []
    other = estate.judge(unit(web("client", image="nginx:2")))
    assert [(d.path, d.old, d.new) for d in other.differences] == [
        ("spec.template.spec.containers[web].image", "nginx:1", "nginx:2")
    ]
    outcomes = estate.apply(list(units.values()), adopt=True)
    assert {o.result for o in outcomes.values()} == {Result.DONE}, outcomes
    assert estate.plan(list(units.values())) == {}
    assert estate.kubectl("-n", "adopted", "get", "pods", "-o", "name") == pods
    without = [unit(web(name, more=False)) for name in MAKERS]  # what the others held before goes with our declaration
    planned = estate.plan(without)
    assert {tuple(d.path for d in c.differences) for c in planned.values()} == {
        ("spec.template.spec.containers[web].env[OLD]",)
    }
    estate.converge(without)
    left = estate.kubectl("-n", "adopted", "get", "deployments", "-o", "jsonpath={..env[*].name}")
    assert left.split() == ["A"] * len(MAKERS)
    estate.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(web("client")))
    estate.converge(without)  # somebody applies the old one again: taken away again
    estate.kubectl("delete", "--wait=false", "namespace", "adopted")


def test_protection_is_on_the_object_and_switching_it_is_a_change_of_its_own(
    estate: Estate, estate_again: Callable[[], Estate]
) -> None:
    one = unit({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "safe", "namespace": "safe"}})
    estate.converge([one])
    guarded = replace(one, protected=Source("shop.yaml", 12, 5))
    change = estate.judge(guarded)
    assert (change.action, change.reason) == (Action.UPDATE, "is protected from now on")
    assert {o.result for o in estate.do([change]).values()} == {Result.DONE}
    seen = estate_again().observe([]).units[one.address]  # nothing but the cluster remembers
    assert isinstance(seen, Present)
    assert seen.stamp is not None
    assert seen.stamp.protected == "shop.yaml:12:5"
    assert estate.judge(guarded).action == Action.NONE
    assert estate.judge(one).reason == "is protected no more"


def test_a_webhook_that_is_not_ready_yet_is_waited_for_with_its_reason(estate: Estate, tmp_path: Any) -> None:
    with webhooks.serving(tmp_path / "hook", lambda thing: []) as hook:
        port = hook.port
        guard = hook.configuration("guard", "late", resources=["configmaps"], groups=[""], mutating=False)
    estate.kubectl("create", "namespace", "late")
    estate.kubectl("apply", "-f", "-", stdin=json.dumps(guard))
    settings: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "late"}}
    try:
        # the workload's inventory is a ConfigMap of another namespace, which the webhook is not asked about
        planned = list(estate.plan([unit(settings, namespace="late-home", timeout=1)]).values())
        (outcome,) = estate.do(planned).values()
        assert "not taken after 1 s: webhook guard.test.dev is not ready" in outcome.message
        refusing = webhooks.serving(tmp_path / "hook", lambda thing: "no such luck", port)
        with refusing:
            change = estate.judge(unit(settings, namespace="late-home"))
        assert "the cluster refuses it" in change.reason
        assert "no such luck (web.yaml:1:1)" in change.reason
        planned = list(estate.plan([unit(settings, namespace="late-home")]).values())

        def report(progress: Any) -> None:
            estate.told.append(progress.text)
            if "webhook guard.test.dev is not ready" in progress.text and not opened:
                opened.append(webhooks.serving(tmp_path / "hook", lambda thing: [], port))
                opened[0].__enter__()

        opened: list[Any] = []
        outcomes = list(estate.driver.apply(planned, report))
        opened[0].__exit__(None, None, None)
        assert [o.result for o in outcomes] == [Result.DONE], outcomes
    finally:
        estate.kubectl("delete", "validatingwebhookconfiguration", "guard")
        estate.kubectl("delete", "--wait=false", "namespace", "late")


def test_what_is_being_deleted_says_which_finalizer_blocks(estate: Estate) -> None:
    one: Unit = unit({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "namespace": "held"}})
    estate.converge([one])

    def patch(finalizers: str) -> None:
        estate.kubectl(
            "-n",
            "held",
            "patch",
            "configmap",
            "held",
            "--type=merge",
            "-p",
            f'{{"metadata": {{"finalizers": {finalizers}}}}}',
        )

    patch('["acme.com/keep"]')
    planned = list(estate.plan([]).values())

    def report(progress: Any) -> None:
        estate.told.append(progress.text)
        patch("[]")

    assert [o.result for o in estate.driver.apply(planned, report)] == [Result.DONE]
    assert "waiting: its finalizers: acme.com/keep" in estate.told
