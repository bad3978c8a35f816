"""Batches, gates and rollback on the lab: one estate, whose tests go on from each other's end."""

from __future__ import annotations

import os
import shutil
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import PASSWORD, SMALL, Estate

pytestmark = pytest.mark.lab

BLUEPRINT, MANIFEST = "blueprints/shop/blueprint.yaml", "blueprints/shop/agile/web/web.yaml.j2"
CHANGE = """\
  change:
    stable: {batches: [1, 100%]}
    agile: {onFailure: rollback}
"""


@pytest.fixture(scope="module")
def estate(lab_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """The small estate with three machines and a change policy, applied."""
    root = tmp_path_factory.mktemp("rollout") / "estate"
    shutil.copytree(SMALL, root)
    it = Estate(root, {**lab_environment, "E2E_PASSWORD": PASSWORD})
    it.write("orchestrator.yaml", "5b0d1c1e-8a41-4a0e-9d0c-6c1d2e3f4a5b", str(uuid.uuid4()))
    it.write("shop.yaml", "  values:\n", f"{CHANGE}  values:\n")
    it.write(BLUEPRINT, "count: 2", "count: 3")
    it.write(BLUEPRINT, "    web:\n", "    web:\n      timeout: 4s\n")
    it.write(
        BLUEPRINT,
        "      outputs:\n        host:",
        "      ready: [{command: grep -vq broken /etc/db.conf, within: 1s}]\n      outputs:\n        host:",
    )
    it.apply()
    yield it
    it.kubectl("delete", "namespace", "shop", "--ignore-not-found", "--timeout=60s")
    it.remove_machines()


def greetings(estate: Estate) -> list[str]:
    return [estate.on(f"db-{index}", "cat /etc/db.conf").split()[1] for index in range(3)]


def snapshots(estate: Estate) -> list[Path]:
    return list(Path(estate.environment["ORCHESTRATOR_LAB_HOME"]).glob("**/snapshots/*"))


def greet(estate: Estate, old: str, new: str) -> None:
    estate.write(BLUEPRINT, f"default: {old}}}", f"default: {new}}}")


def test_a_machine_that_does_not_become_ready_stops_the_batch_after_it(estate: Estate) -> None:
    estate.write("blueprints/shop/stable/templates/db.conf.j2", "greeting {{ greeting }}\n", "greeting {{ greeting }} ")
    greet(estate, "hello", "broken")
    planned = estate("plan").out
    assert "(batch 1 of 2)" in planned
    assert "stable db (batch 2 of 2)" in planned
    ran = estate.apply(expect=1)
    assert greetings(estate) == ["broken", "hello", "hello"]
    assert "1 of 3 machines failed (db-0); maxFailures is 0" in ran.out, ran
    assert "(batch 1 of 2)" in estate("show", ran.out.split("orchestrator show ")[1].split()[0], "-o", "json").out


def test_rollback_of_a_placement_is_an_ordinary_run_and_stays(estate: Estate) -> None:
    ran = estate("rollback", "shop", "--yes").ended(0)
    assert "pinned to run 1 by rollback" in ran.out
    assert greetings(estate) == ["hello"] * 3
    again = estate.apply()
    assert "pinned to run 1 by rollback; to go on with the documents: orchestrator rollback shop --release" in again.out
    assert "No changes" in again.out
    assert "pinned to run 1" in estate("status").out
    estate("rollback", "shop", "--release").ended(0)
    assert "update" in estate.plan().values()


def test_a_machine_that_failed_is_given_back_as_it_was(estate: Estate) -> None:
    """Also where the run was killed while it was changed: the next one goes on under the same snapshot."""
    estate.write("shop.yaml", "batches: [1, 100%]", "batches: [1, 100%], snapshot: true, onFailure: restore")
    ran = estate.apply(expect=1)
    assert "machine db-0 was given back as it was before the change" in ran.out, ran
    assert greetings(estate) == ["hello"] * 3
    run = ran.out.split("orchestrator show ")[1].split()[0]
    steps = [step["action"] for step in estate("show", run, "-o", "json").data["steps"]]
    assert steps == ["snapshot", "update", "restore", "drop snapshot"]
    assert snapshots(estate) == []

    greet(estate, "broken", "repaired")
    estate.on("db-0", "touch /var/tmp/wait; rm -f /var/tmp/paused")
    process = estate.start("apply", "--yes")
    while process.poll() is None and "paused" not in estate.on("db-0", "ls /var/tmp"):
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    estate.ended(process)
    assert snapshots(estate) != []
    estate.on("db-0", "rm -f /var/tmp/wait")
    assert "the snapshot from before an earlier run's change stands for this one" in estate("plan").out
    estate.apply()
    assert greetings(estate) == ["repaired"] * 3
    assert snapshots(estate) == []


def test_a_workload_that_never_becomes_ready_goes_back_in_the_same_run_and_stays(estate: Estate) -> None:
    before = estate.field("deployment/web", "{.spec.template.spec}")
    estate.write(MANIFEST, "      containers:\n", "      nodeSelector: {such: none}\n      containers:\n")
    (estate.root / Path(MANIFEST).with_name("extra.yaml")).write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\n"
    )
    greet(estate, "repaired", "newer")
    ran = estate.apply(expect=1)
    assert "is back at run" in ran.out, ran
    assert estate.field("deployment/web", "{.spec.template.spec}") == before
    assert estate.kubectl("--namespace", "shop", "get", "configmap", "extra", "--ignore-not-found") == ""
    assert greetings(estate) == ["newer"] * 3
    again = estate.apply()
    assert "agile web is pinned to run" in again.out
    assert estate.field("deployment/web", "{.spec.template.spec}") == before


def test_changed_documents_end_that(estate: Estate) -> None:
    estate.write(MANIFEST, "      nodeSelector: {such: none}\n", "")
    assert "no longer pinned" in estate("plan").out
    estate.apply()
    assert estate.kubectl("--namespace", "shop", "get", "configmap", "extra", "-o", "name") == "configmap/extra\n"
    assert "pinned" not in estate("plan").out
