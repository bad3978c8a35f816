"""A Pulumi program among the workloads of an estate, by the command line: planned, applied, handed over, removed."""

from __future__ import annotations

import json
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import PASSWORD, Estate

pytestmark = pytest.mark.lab

PROGRAM = Path(__file__).parents[1] / "fixtures" / "estates" / "program"
PLUGIN = Path(__file__).parents[1] / "agile" / "plugin" / "pulumi-resource-echo"
QUEUE = "lab/shop/agile/queue/program/shop/queue"


@pytest.fixture
def estate(lab_environment: dict[str, str], tmp_path: Path) -> Iterator[Estate]:
    """The estate with a program, and a provider plugin on PATH whose things are files in a folder."""
    root, things, programs = (tmp_path / name for name in ("estate", "things", "bin"))
    shutil.copytree(PROGRAM, root)
    things.mkdir()
    programs.mkdir()
    plugin = programs / PLUGIN.name
    plugin.write_text(f'#!/bin/sh\nexec {sys.executable} {PLUGIN} "$@"\n')
    plugin.chmod(0o755)
    environment = {**lab_environment, "E2E_PASSWORD": PASSWORD, "ECHO_FOLDER": str(things)}
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    it = Estate(root, environment)
    it.write("orchestrator.yaml", "5b0d1c1e-8a41-4a0e-9d0c-6c1d2e3f4a5c", str(uuid.uuid4()))
    yield it
    it.kubectl("delete", "namespace", "shop", "--ignore-not-found", "--timeout=60s")


def things(estate: Estate) -> list[int]:
    folder = Path(estate.environment["ECHO_FOLDER"])
    return sorted(json.loads(path.read_text())["size"] for path in folder.glob("*-*"))


def test_a_program_feeds_manifests_is_handed_over_and_goes_with_its_workload(estate: Estate) -> None:
    assert estate.plan() == {
        "agile/queue/program/shop/queue": "create",
        "agile/web/ConfigMap/shop/web": "later",
        "agile/web/Secret/shop/web": "later",
    }
    assert things(estate) == []
    estate.apply()
    assert things(estate) == [2]
    assert estate.field("configmap/web", "{.data.capacity}") == "4"
    assert estate.field("configmap/queue", "{.data.capacity}") == "4"
    looked = estate("plan", "-o", "json").ended(0).data["observed"]
    assert (looked["units"], looked["pulumi_runs"]) == (3, 0)
    estate.write("shop.yaml", "size: 2", "size: 3")
    changed = estate("plan", "-o", "json").ended(0).data["changes"]
    assert [(c["action"], c["reason"]) for c in changed if c["workload"] == "queue"] == [
        ("update", "changed: vars.size 2 → 3; Pulumi: 2 to change")
    ]
    estate.apply()
    assert estate.field("configmap/web", "{.data.capacity}") == "6"
    outputs = estate("agile", "stack", "shop/queue", "--", "stack", "output", "--json").ended(0)
    assert outputs.data == {"capacity": 6, "token": "[secret]"}
    assert estate.plan() == {}  # nothing was changed by looking
    (thing,) = Path(estate.environment["ECHO_FOLDER"]).glob("*-*")
    thing.write_text(json.dumps(json.loads(thing.read_text()) | {"size": 9}))
    deep = estate("drift", "--deep").ended(0)
    assert "size 3 → 9" in deep.out, deep
    assert f"orchestrator apply --again {QUEUE}" in deep.err
    assert estate.plan() == {}  # no plan asks a program's provider
    estate.apply("--again", QUEUE)
    assert things(estate) == [3]
    states = estate("history", "--states", "-o", "json").ended(0).data["states"]
    assert [state["resources"] for state in states] == [2, 2, 2]
    state = estate("show", "2", "--state", QUEUE).ended(0).data
    assert state["checkpoint"]["latest"]["secrets_providers"]["type"] == "passphrase"
    blueprint = (estate.root / "blueprints/infra/blueprint.yaml").read_text()
    (estate.root / "blueprints/infra/blueprint.yaml").write_text(
        blueprint[: blueprint.index("  agile:")] + "  agile: {}\n"
    )
    assert estate.plan()["agile/queue/program/shop/queue"] == "delete"
    estate.apply()
    assert things(estate) == []
    assert not any(PASSWORD in text for text in estate.printed)
    for path in (estate.root / ".orchestrator").rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path
