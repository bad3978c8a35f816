"""Documents and kubeconfigs that are refused with one clear message, before anything is begun: no lab need run."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PASSWORD, SMALL, Estate, Ran

pytestmark = pytest.mark.lab

BLUEPRINT, MANIFEST, PLAYBOOK = (
    f"blueprints/shop/{name}" for name in ("blueprint.yaml", "agile/web/web.yaml.j2", "stable/db.yaml")
)


@pytest.fixture
def documents(tmp_path: Path) -> Estate:
    """The small estate, of which nothing was ever applied."""
    shutil.copytree(SMALL, tmp_path / "estate")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    own = {"PATH": path, "NO_COLOR": "1", "E2E_PASSWORD": PASSWORD, "ORCHESTRATOR_LAB_HOME": str(tmp_path / "no-lab")}
    return Estate(tmp_path / "estate", {**os.environ, **own})


def runs(estate: Estate) -> list[dict[str, Any]]:
    return list(estate("history", "-o", "json").data["runs"])


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (PLAYBOOK, "ansible.builtin.template:", "ansible.builtin.template", "stable/db.yaml:5:54: not valid YAML"),
        (MANIFEST, "kind: Service", "kind: [", "web.yaml.j2:19: not valid YAML"),
        (MANIFEST, "{{ replicas }}", "{{ replicaz }}", "web.yaml.j2:5: 'replicaz' is undefined; did you mean"),
        (BLUEPRINT, "[agile/web]", "[../../../etc]", "blueprint.yaml:21:19: the path `../../../etc` leaves"),
        ("shop.yaml", "./blueprints/shop", "../../etc", "shop.yaml:5:14: the blueprint's folder `../../etc` leaves"),
        (BLUEPRINT, "b.outputs.host}\n        password", "b.outputs.hots}\n        password", "hots"),
        (
            BLUEPRINT,
            "  agile:\n",
            "  agile:\n"
            "    two: {namespace: shop, manifests: [agile/web], vars: {replicas: 1, dbHost: a, password: b}}\n",
            "Service shop/web is declared twice at site lab",
        ),
    ],
)
def test_a_broken_document_is_one_clear_message_and_nothing_is_changed(
    documents: Estate, file: str, old: str, new: str, says: str
) -> None:
    before = runs(documents)
    documents.write(file, old, new)
    refused(documents, says)
    assert runs(documents) == before


def refused(estate: Estate, says: str) -> Ran:
    """An apply that is refused before a plan is made."""
    ran = estate.apply(expect=1)
    assert says in ran.err, ran
    assert ran.out == ""
    assert "Traceback" not in ran.err
    return ran


def test_a_kubeconfig_that_wants_to_run_a_program_is_refused(documents: Estate) -> None:
    config = documents.root / "exec.kubeconfig"
    program = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "/bin/touch",
        "args": [str(documents.root / "ran")],
        "interactiveMode": "Never",
    }
    text = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"exec": program}}],
    }
    config.write_text(json.dumps(text))
    documents.write("site.yaml", "{lab: true}", f"{{kubeconfig: {config}}}")
    told = " ".join(documents("plan", "--mode", "agile").ended(0).out.split())
    assert "wants to run `/bin/touch`" in told
    assert "exec: [/bin/touch]" in told
    assert not (documents.root / "ran").exists()
