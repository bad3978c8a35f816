"""One estate, both modes: applied, left alone, changed, drifted, removed, destroyed; all on real substrates."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import Estate
from tests.e2e.watching import Processes

pytestmark = pytest.mark.lab

EVERYTHING = {
    "stable/db/machine/db-0": "create",
    "stable/db/machine/db-1": "create",
    "stable/db/configuration/db-0": "later",
    "stable/db/configuration/db-1": "later",
    "agile/web/Deployment.apps/shop/web": "later",
    "agile/web/Service/shop/web": "create",
    "agile/web/Secret/shop/db": "create",
}


def test_apply_converges_both_modes_and_wires_an_address_that_is_not_known_before(estate: Estate) -> None:
    planned = estate.plan()
    assert set(planned) == set(EVERYTHING)
    assert planned["agile/web/Deployment.apps/shop/web"] == "later"
    estate.apply()
    address = estate.machine("db-0")["address"]
    assert estate.field("deployment/web", "{.spec.template.spec.containers[0].env[0].value}") == address
    assert "greeting hello" in estate.on("db-1", "cat /etc/db.conf")
    assert estate.field("deployment/web", "{.status.readyReplicas}") == "2"
    outputs = json.loads(estate("output", "-o", "json").out)
    assert address in json.dumps(outputs)


def test_a_second_apply_starts_neither_ansible_nor_pulumi(estate: Estate) -> None:
    estate.apply()
    process = estate.start("apply", "--yes", "-o", "json")
    with Processes(process.pid) as processes:
        ran = estate.ended(process)
    ran.ended(0)
    assert not processes.started("ansible-playbook")
    assert not processes.started("pulumi")
    observed = json.loads(ran.out.splitlines()[0])["observed"]
    assert (observed["ansible_runs"], observed["pulumi_runs"]) == (0, 0)
    assert "No changes" in estate("plan").out


def test_what_is_asked_for_again_is_applied_although_it_is_as_declared(estate: Estate) -> None:
    estate.apply()
    again = ("--again", "lab/shop/stable/db/configuration/db-0", "--again", "lab/shop/agile/web/Secret/shop/db")
    saved = estate.root / "again.plan"
    planned = estate("plan", *again, "-o", "json", "--out", str(saved)).data["changes"]
    asked = {change["address"].split("/", 2)[2] for change in planned if change["action"] == "update"}
    assert asked == {"stable/db/configuration/db-0", "agile/web/Secret/shop/db"}
    ran = estate("apply", str(saved))
    ran.ended(0)
    assert "2 changed" in ran.out
    assert "No changes" in estate("plan").out
    wrong = estate("plan", "--again", "lab/shop/stable/nothing")
    wrong.ended(64)
    assert "there is nothing at lab/shop/stable/nothing" in wrong.err


def test_the_watcher_sees_both_programs_where_they_are_started(estate: Estate) -> None:
    process = estate.start("apply", "--yes")
    with Processes(process.pid) as processes:
        assert estate.ended(process).code == 0
    assert processes.started("ansible-playbook")
    assert processes.started("pulumi")


def test_drift_in_both_modes_is_found_and_only_that_and_one_apply_heals_it(estate: Estate) -> None:
    estate.apply()
    estate.on("db-0", "echo by-hand >> /etc/db.conf")
    estate.kubectl("--namespace", "shop", "scale", "deployment", "web", "--replicas", "5")
    found = estate("drift", "-o", "json", "--detailed-exitcode")
    found.ended(2)
    assert {c["address"].split("/", 2)[2] for c in found.data["changes"]} == {
        "stable/db/configuration/db-0",
        "agile/web/Deployment.apps/shop/web",
    }
    assert "kubectl" in found.out
    estate.apply()
    assert "by-hand" not in estate.on("db-0", "cat /etc/db.conf")
    assert estate.field("deployment/web", "{.spec.replicas}") == "2"
    assert estate("drift", "--detailed-exitcode").code == 0


def test_a_known_address_goes_into_a_change_in_the_first_wave(estate: Estate) -> None:
    estate.apply()
    estate.write("blueprints/shop/blueprint.yaml", "default: 2}", "default: 3}")
    assert estate.plan() == {"agile/web/Deployment.apps/shop/web": "update"}
    estate.apply()
    assert estate.field("deployment/web", "{.spec.replicas}") == "3"


def test_a_renamed_agile_workload_moves_and_nothing_is_deleted(estate: Estate) -> None:
    estate.apply()
    before = estate.field("deployment/web", "{.metadata.uid}")
    estate.write("blueprints/shop/blueprint.yaml", "    web:\n      namespace", "    front:\n      namespace")
    estate.write("blueprints/shop/blueprint.yaml", "agile.web.outputs.ip", "agile.front.outputs.ip")
    planned = estate.plan()
    assert set(planned.values()) == {"update"}, planned
    estate.apply()
    assert estate.field("deployment/web", "{.metadata.uid}") == before
    assert estate.plan() == {}


def test_a_removed_placement_is_undone_by_its_remove_playbook(estate: Estate) -> None:
    estate.apply()
    (estate.root / "shop.yaml").unlink()
    planned = estate.plan()
    assert set(planned.values()) == {"delete"}, planned
    estate.apply()
    assert estate.kubectl("get", "deployments", "-A", "-o", "name") == ""
    assert estate.plan() == {}


def test_removal_without_a_remove_playbook_says_that_it_stays_on_the_host(estate: Estate) -> None:
    estate.apply()
    blueprint = estate.root / "blueprints/shop/blueprint.yaml"
    text = blueprint.read_text().replace("        remove: stable/db-remove.yaml\n", "")
    before, after = text.index("      configure:"), text.index("      outputs:")
    estate.apply()  # without the remove playbook on record
    blueprint.write_text(text[:before] + text[after:])
    (estate.root / "blueprints/shop/stable/db-remove.yaml").unlink()
    ran = estate("plan")
    assert "stays on the host" in ran.out, ran
    estate.apply()
    assert "greeting hello" in estate.on("db-0", "cat /etc/db.conf")
    assert estate.plan() == {}


def test_a_deleted_state_folder_is_no_change_and_what_is_removed_then_is_still_pruned(estate: Estate) -> None:
    estate.apply()
    shutil.rmtree(estate.root / ".orchestrator")
    assert estate.plan() == {}
    shutil.rmtree(estate.root / ".orchestrator")
    (estate.root / "shop.yaml").unlink()
    estate.apply()
    assert (
        estate.kubectl("get", "deployments,services,secrets", "-A", "-l", "orchestrator.dev/estate", "-o", "name") == ""
    )
    assert not [m for m in estate("lab", "status", "-o", "json").data["machines"] if "shop-db" in m["name"]]


def test_a_second_clone_sees_no_change_and_cannot_apply_while_the_first_does(estate: Estate, tmp_path: Path) -> None:
    estate.apply()
    other = estate.clone(tmp_path / "clone")
    assert other.plan() == {}
    for machine in ("db-0", "db-1"):
        estate.on(machine, "touch /var/tmp/wait")
    estate.write("blueprints/shop/blueprint.yaml", "default: hello", "default: hi")
    other.write("blueprints/shop/blueprint.yaml", "default: hello", "default: ciao")
    first = estate.start("apply", "--yes")
    with Processes(first.pid) as processes:
        while first.poll() is None and not processes.started("ansible-playbook"):
            continue
        refused = other("apply", "--yes")
        refused.ended(1)
        assert "is being applied to by" in refused.err
        assert "unlock" in refused.err
        estate.on("db-0", "rm /var/tmp/wait")
        estate.on("db-1", "rm /var/tmp/wait")
        ran = estate.ended(first)
    ran.ended(0)
    assert "greeting hi" in estate.on("db-0", "cat /etc/db.conf")


def test_a_saved_plan_is_applied_and_refused_once_something_has_moved(estate: Estate) -> None:
    estate("plan", "--out", "first.plan")
    ran = estate("apply", "first.plan")
    ran.ended(0)
    estate.write("blueprints/shop/blueprint.yaml", "default: hello", "default: hi")
    estate("plan", "--out", "second.plan")
    estate.kubectl("--namespace", "shop", "scale", "deployment", "web", "--replicas", "7")
    refused = estate("apply", "second.plan")
    refused.ended(1)
    assert "Deployment.apps/shop/web" in refused.err
    assert "greeting hello" in estate.on("db-0", "cat /etc/db.conf")


def test_an_object_that_never_was_ours_is_a_conflict_until_it_is_adopted(estate: Estate) -> None:
    estate.kubectl("create", "namespace", "shop")
    estate.kubectl("--namespace", "shop", "create", "service", "clusterip", "web", "--tcp=80:80")
    ran = estate.apply(expect=1)
    assert "adopt" in ran.out + ran.err
    assert "deployment" not in estate.kubectl("--namespace", "shop", "get", "deployments", "-o", "name")
    estate("adopt", "lab/shop/agile/web/Service/shop/web", "--yes").ended(0)
    estate.apply()
    assert estate.plan() == {}


def test_a_protected_workload_is_not_removed(estate: Estate) -> None:
    estate.write(
        "blueprints/shop/blueprint.yaml", "      namespace: shop\n", "      namespace: shop\n      protect: true\n"
    )
    estate.apply()
    text = (estate.root / "shop.yaml").read_text()
    (estate.root / "shop.yaml").unlink()
    refused = estate("apply", "--yes")
    refused.ended(1)
    assert "blueprint.yaml" in refused.err
    assert "protect" in refused.err
    (estate.root / "shop.yaml").write_text(text)
    estate.write("blueprints/shop/blueprint.yaml", "      protect: true\n", "")
    estate.apply()


def test_destroy_removes_everything_that_was_made_and_nothing_else(estate: Estate) -> None:
    estate.apply()
    estate.kubectl("--namespace", "shop", "create", "configmap", "not-ours")
    estate("destroy", "--yes").ended(0)
    assert estate.kubectl("get", "deployments,services,secrets", "--namespace", "shop", "-o", "name") == ""
    assert "not-ours" in estate.kubectl("--namespace", "shop", "get", "configmaps", "-o", "name")
    assert estate("lab", "status", "-o", "json").data["machines"] == []
    estate("destroy", "--yes").ended(0)


def test_scope_limits_what_is_applied(estate: Estate) -> None:
    estate.apply("--mode", "stable")
    planned = estate.plan()
    assert planned
    assert all(address.startswith("agile/") for address in planned)
    estate.apply("--target", "lab/shop/agile/web/Service/shop/web")
    assert "agile/web/Service/shop/web" not in estate.plan()


def test_a_change_by_hand_is_shown_by_a_watch_and_so_is_its_healing(estate: Estate) -> None:
    estate.apply()
    watch = estate.start("drift", "--watch", "-o", "json", "--mode", "agile")
    assert watch.stderr is not None
    assert watch.stdout is not None
    assert watch.stderr.readline().startswith("Watching")
    estate.kubectl("--namespace", "shop", "scale", "deployment", "web", "--replicas", "5")
    drifted = json.loads(watch.stdout.readline())
    assert drifted["event"] == "drifted"
    assert [(d["path"], d["old"], d["new"]) for d in drifted["differences"]] == [("spec.replicas", 5, 2)]
    estate.kubectl("--namespace", "shop", "scale", "deployment", "web", "--replicas", "2")
    told = [json.loads(watch.stdout.readline())["event"]]
    while told[-1] in ("drifted", "not ready"):  # pods come and go on the way
        told.append(json.loads(watch.stdout.readline())["event"])
    assert told[-1] in ("healed", "ready")
    watch.send_signal(signal.SIGINT)
    assert estate.ended(watch).code == 0
