"""Kubernetes objects of Pulumi programs: one contract, whoever serves their types."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from orchestrator import toolchain
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Unreachable
from orchestrator.model.outcome import Result
from orchestrator.modes.agile.client import incluster
from orchestrator.modes.agile.driver import AgileDriver
from orchestrator.toolchain.plugins import Plugin
from orchestrator.toolchain.programs import architecture
from orchestrator.toolchain.ways import WayFailed
from tests.agile.estates import CANARY
from tests.agile.program_lab import NAMESPACE, Lab
from tests.agile.test_programs_packages import WHEEL, write_sdk
from tests.goprograms import built
from tests.toolchain.conftest import ReleaseServer, archive, server, sha256

__all__ = ["server"]

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(3600)]

VERSION = "4.24.1"
OBJECTS = """
import pulumi

size = pulumi.Config().require_int("size")
app = {"app": f"web-{pulumi.Config().require('label')}"}
spec = {
    "replicas": size,
    "selector": {"matchLabels": app},
    "template": {"metadata": {"labels": app}, "spec": {"containers": [{"name": "web", "image": "nginx:1.29"}]}},
}


def of(version, kind, called, body, **metadata):  # as the SDK of Kubernetes does it
    token = version if "/" in version else f"core/{version}"
    whole = {"apiVersion": version, "kind": kind, "metadata": metadata, **body}
    return pulumi.CustomResource(f"kubernetes:{token}:{kind}", called, whole)


of("apps/v1", "Deployment", "web", {"spec": spec}, name="web")
made = of("v1", "Secret", "db", {"stringData": {"password": pulumi.Config().require_secret("password")}})
theirs = pulumi.Config().get("theirs")
if theirs:
    of("v1", "ConfigMap", theirs, {"data": {"a": "1"}}, name=theirs)
pulumi.export("id", made.id)
"""


@pytest.fixture(scope="session")
def plugin() -> Path:
    """Pulumi's own Kubernetes plugin: of PATH, or built from its published module (ten minutes of CPU, once)."""
    if found := shutil.which("pulumi-resource-kubernetes"):
        return Path(found)
    module = "github.com/pulumi/pulumi-kubernetes/provider/v4"
    folder = "cmd/pulumi-resource-kubernetes"
    try:
        return built(
            "pulumi-resource-kubernetes",
            Path(__file__).parent / "official",
            stamp=f"{module}/pkg/version.Version={VERSION}",
            embedded=(module, (f"{folder}/schema.json", f"{folder}/terraform-mapping.json")),
        )
    except (WayFailed, subprocess.CalledProcessError) as failed:
        pytest.skip(f"Pulumi's own Kubernetes plugin is not on PATH and cannot be built here: {failed}")


@pytest.fixture(params=["inprocess", "official"])
def served(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Lab]:
    """A program whose `kubernetes:` types are served by us, or by Pulumi's own plugin."""
    lab.write(OBJECTS)
    lab.outputs = {"id": "string"}
    it = lab if request.param == "inprocess" else official(lab, request.getfixturevalue("plugin"))
    yield it
    it.driver.close()


def official(lab: Lab, plugin: Path) -> Lab:
    """The same, by Pulumi's own plugin from PATH."""
    site = lab.driver._site
    environment = {**site.environment, "PATH": f"{plugin.parent}:{site.environment['PATH']}"}
    return replace(lab, driver=AgileDriver(replace(site, official=True, environment=environment)))


def of(lab: Lab, what: str, path: str) -> str:
    return lab.kubectl("-n", NAMESPACE, "get", what, "-o", f"jsonpath={path}")


def test_objects_of_a_program_are_made_replaced_and_destroyed_and_what_exists_is_left_alone(served: Lab) -> None:
    lab = served
    outcome = lab.converge()
    name = outcome.facts["outputs"]["id"]
    assert name.startswith(f"{NAMESPACE}/db-")  # its name is made for it
    assert of(lab, "deployment/web", "{.status.readyReplicas}") == "1"
    assert CANARY.encode().hex() not in json.dumps([r[1].hex() for rows in lab.states.rows.values() for r in rows])
    lab.vars |= {"size": 2, "label": "y"}
    changed = lab.plan()
    assert changed.action == Action.REPLACE
    assert {d.path for d in changed.differences if d.replace} == {
        "kubernetes:Deployment web: spec.selector.matchLabels.app"
    }
    assert lab.do(changed).result == Result.DONE
    assert of(lab, "deployment/web", "{.spec.replicas} {.spec.selector.matchLabels.app}") == "2 web-y"
    lab.kubectl("-n", NAMESPACE, "create", "configmap", "theirs", "--from-literal=a=0")
    lab.vars |= {"theirs": "theirs"}
    outcome = lab.apply()
    assert outcome.result == Result.FAILED
    assert re.search("exists and is not this program's|conflict with", outcome.message)
    assert of(lab, "configmap/theirs", "{.data.a}") == "0"
    gone = Change(lab.unit().address, Action.DELETE, "removed", seen=lab.see())
    assert lab.do(gone).result == Result.DONE
    assert lab.kubectl("-n", NAMESPACE, "get", "deployments,secrets", "-o", "name") == ""
    assert "theirs" in lab.kubectl("-n", NAMESPACE, "get", "configmaps", "-o", "name")


def test_what_we_serve_bears_our_labels(lab: Lab) -> None:
    lab.write(OBJECTS)
    lab.outputs = {"id": "string"}
    lab.converge()
    assert json.loads(of(lab, "deployment/web", "{.metadata.labels}"))["orchestrator.dev/workload"] == "infra"


def test_a_site_changes_to_pulumis_own_plugin_and_goes_on(lab: Lab, request: pytest.FixtureRequest) -> None:
    lab.write(OBJECTS)
    lab.outputs = {"id": "string"}
    lab.converge()
    uid = of(lab, "deployment/web", "{.metadata.uid}")
    other = official(lab, request.getfixturevalue("plugin"))
    assert other.plan().action == Action.NONE
    other.vars |= {"size": 3}
    outcome = other.converge()
    assert outcome.result == Result.DONE
    assert of(lab, "deployment/web", "{.spec.replicas} {.metadata.uid}") == f"3 {uid}"
    other.driver.close()


def test_from_a_pod_of_the_cluster_pulumis_own_plugin_uses_its_service_account(
    lab: Lab, lab_kubeconfig: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.write(OBJECTS)
    lab.outputs = {"id": "string"}
    lab.kubectl("create", "serviceaccount", "in-cluster")
    lab.kubectl(
        "create",
        "clusterrolebinding",
        "in-cluster",
        "--clusterrole=cluster-admin",
        "--serviceaccount=default:in-cluster",
    )
    cluster = yaml.safe_load(lab_kubeconfig.read_text())["clusters"][0]["cluster"]
    mounted = tmp_path / "serviceaccount"
    mounted.mkdir()
    (mounted / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    (mounted / "token").write_text(lab.kubectl("create", "token", "in-cluster"))
    where = urlsplit(cluster["server"])
    monkeypatch.setattr(incluster, "FOLDER", mounted)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(where.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(where.port))
    it = official(lab, request.getfixturevalue("plugin"))
    pod = replace(it, driver=AgileDriver(replace(it.driver._site, kubeconfig=None)))
    outcome = pod.converge()
    assert outcome.facts["outputs"]["id"].startswith(f"{NAMESPACE}/db-")
    manager = of(lab, "deployment/web", "{.metadata.managedFields[0].manager}")
    assert manager.startswith("pulumi-kubernetes-")
    for driver in (it.driver, pod.driver):
        driver.close()
    lab.kubectl("delete", "clusterrolebinding/in-cluster", "serviceaccount/in-cluster")


def test_pulumis_own_plugin_comes_from_its_release_or_the_program_is_held_with_the_reason(
    lab: Lab, server: ReleaseServer, tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulumi = toolchain.find("pulumi")
    assert pulumi is not None
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    site = replace(lab.driver._site, official=True, pulumi=lambda: pulumi, environment={"PATH": os.defpath})
    lab.driver = AgileDriver(site)
    lab.write(OBJECTS)
    write_sdk(lab.root / "infra", "kubernetes", VERSION)
    lab.write(f"./{WHEEL}\n", "requirements.txt")
    lab.outputs = {"id": "string"}
    seen = lab.see()
    assert isinstance(seen, Unreachable)
    assert f"pulumi-resource-kubernetes {VERSION} could not be had: it is not on PATH" in seen.why
    assert "put pulumi-resource-kubernetes on PATH, or let it be downloaded" in seen.why
    release = Plugin("kubernetes", VERSION).release
    assert release is not None
    release = release.for_arch(architecture())
    file = archive("pulumi-resource-kubernetes", plugin.read_bytes())
    server.put(release.url, file)
    server.put(release.checksums_url, f"{sha256(file)}  {release.url.rpartition('/')[2]}\n".encode())
    lab.driver = AgileDriver(site)
    lab.converge()
    assert of(lab, "deployment/web", "{.status.readyReplicas}") == "1"
