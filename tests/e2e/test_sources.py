"""Every source of an agile workload on a real API server: applied, as declared, changed, and back where it fails."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import toolchain
from tests.e2e.conftest import PASSWORD, Estate

pytestmark = pytest.mark.lab

SOURCES = Path(__file__).parents[1] / "fixtures" / "estates" / "sources"
EVERYTHING = "blueprints/everything"


def packaged(estate: Estate) -> None:
    """Put the chart into the blueprint as a .tgz."""
    helm = toolchain.ensure(["helm"], lambda line: None)["helm"]
    folder = estate.root / EVERYTHING
    subprocess.run([helm, "package", folder / "chart", "-d", folder], check=True, capture_output=True)
    (folder / "web-1.0.0.tgz").replace(folder / "web.tgz")


@pytest.fixture(scope="module")
def estate(lab_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """The estate with every source, applied."""
    root = tmp_path_factory.mktemp("sources") / "estate"
    shutil.copytree(SOURCES, root)
    it = Estate(root, {**lab_environment, "E2E_PASSWORD": PASSWORD})
    it.write("orchestrator.yaml", "5b0d1c1e-8a41-4a0e-9d0c-6c1d2e3f4a5d", str(uuid.uuid4()))
    packaged(it)
    it.apply()
    yield it
    it.kubectl("delete", "namespace", "shop", "--ignore-not-found", "--timeout=60s")
    it.kubectl("delete", "crd/pages.sources.example.com", "pv/sources-api-data", "--ignore-not-found", "--wait=false")


def images(estate: Estate) -> dict[str, str]:
    """The version of each image, by the object that has it."""
    columns = "{range .items[*]}{.metadata.name}={.spec.template.spec.containers[0].image} {end}"
    text = estate.kubectl("--namespace", "shop", "get", "deployments,jobs", "-o", f"jsonpath={columns}")
    return {name: image.rpartition(":")[2] for name, _, image in (pair.partition("=") for pair in text.split())}


def uids(estate: Estate) -> dict[str, str]:
    text = estate.kubectl(
        "--namespace", "shop", "get", "jobs", "-o", "jsonpath={range .items[*]}{.metadata.name}={.metadata.uid} {end}"
    )
    return dict(pair.split("=") for pair in text.split())


def test_every_source_is_applied_and_is_then_as_declared(estate: Estate) -> None:
    assert estate.plan() == {}
    planned = estate("plan").out
    for left_out, hook in (("backup", "pre-upgrade"), ("farewell", "pre-delete")):
        assert f"hook Job/{left_out} ({hook}) is left out" in planned
    assert sorted(uids(estate)) == ["announce", "migrate", "once", "prepare"]
    assert estate.field("page/web", "{.spec.version}") == "1"
    assert estate.field("configmap/reader", "{.data.queue}") == "shop/queue"  # one program's output in another
    assert estate.field("deployment/collector", "{.spec.template.spec.containers[0].envFrom[0].configMapRef.name}") != (
        "collector"
    )


def test_a_container_has_its_claim_secret_files_ingress_autoscaler_and_jobs(estate: Estate) -> None:
    assert estate.field("pvc/api-data", "{.status.phase}") == "Bound"
    assert estate.field("deployment/api", "{.spec.strategy.type} {.status.readyReplicas}").startswith("Recreate ")
    mounts = estate.field("deployment/api", "{.spec.template.spec.containers[0].volumeMounts[*].mountPath}").split()
    assert sorted(mounts) == ["/data", "/etc/api/motd", "/etc/api/password", "/scratch"]
    assert estate.field("configmap/api-files", "{.data.etc\\.api\\.motd}") == "version 1"
    assert estate.field("secret/api-files", "{.data}").count(":") == 1
    assert estate.field("ingress/api", "{.spec.tls[0].secretName} {.spec.tls[0].hosts[0]}") == "api-tls api.example.com"
    assert estate.field("ingress/api", "{.spec.ingressClassName}") == "nginx"
    assert estate.field("hpa/api", "{.spec.minReplicas} {.spec.maxReplicas}") == "2 4"
    assert estate.field("service/api", "{.spec.ports[*].port}") == "80 9090"
    assert estate.field("job/once", "{.spec.backoffLimit} {.status.succeeded}") == "2 1"
    assert estate.field("cronjob/nightly", "{.spec.suspend} {.spec.concurrencyPolicy}") == "true Replace"


def test_an_upgrade_runs_those_hooks_again_that_changed(estate: Estate) -> None:
    before = uids(estate)
    estate.write("shop.yaml", 'version: "1"', 'version: "2"')
    estate.apply()
    assert estate.plan() == {}
    assert {name for name, uid in uids(estate).items() if before[name] != uid} == {"announce", "migrate", "once"}
    assert estate.field("job/migrate", "{.status.succeeded}") == "1"
    assert set(images(estate).values()) - {"latest", "registry.example/collector"} == {"1", "2"}
    assert estate.field("page/web", "{.spec.version}") == "2"


def test_each_source_goes_back_by_itself_where_its_new_revision_fails(estate: Estate) -> None:
    """A chart whose hook does not end, a kustomization and a program whose pods find no node."""
    before = images(estate)
    broken = "nodeSelector: {such: none}"
    estate.write(
        f"{EVERYTHING}/chart/templates/hooks.yaml", "restartPolicy: Never", f"restartPolicy: Never\n      {broken}"
    )
    estate.write(f"{EVERYTHING}/base/collector.yaml", "    spec:\n", f"    spec:\n      {broken}\n")
    estate.write(f"{EVERYTHING}/program/__main__.py", "pod = {", 'pod = {"nodeSelector": {"such": "none"}, ')
    estate.write("shop.yaml", 'version: "2"', 'version: "3"')
    packaged(estate)
    ran = estate.apply(expect=1)
    for workload in ("chart", "overlay", "program"):
        assert f"agile {workload}  is back at run" in ran.out, ran
    after = images(estate)
    assert {name for name in after if before[name] != after[name]} == {"api", "once"}
    assert estate.field("deployment/queue", "{.spec.template.spec.nodeSelector}") == ""
    assert estate.field("job/migrate", "{.status.succeeded}") == "1"
    assert estate.plan() == {}


def test_a_rollback_takes_the_placement_back_whatever_its_sources(estate: Estate) -> None:
    estate("rollback", "shop", "--to", "1", "--yes").ended(0)
    assert set(images(estate).values()) <= {"1", "latest", "registry.example/collector"}
    assert estate.field("page/web", "{.spec.version}") == "1"
    assert estate.plan() == {}
    assert not any(PASSWORD in text for text in estate.printed)
    for path in (estate.root / ".orchestrator").rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path
