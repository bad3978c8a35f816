"""The example of a platform, by the command line on a real API server: from nothing to nothing again."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import PASSWORD, Estate

pytestmark = [pytest.mark.lab, pytest.mark.long]

EXAMPLE = Path(__file__).parents[2] / "examples" / "platform"
NAMESPACES = {"monitoring", "queue-system", "shop", "team-blue", "team-red", "tenants", "tickets"}
BY_HAND = (  # what is done with kubectl in a namespace, and whose drift that is
    ("monitoring", "set image deployment/store store=elsewhere/store:1", "monitoring/Deployment.apps/monitoring/store"),
    (
        "shop",
        'patch queue orders --type=merge -p={"spec":{"capacity":1}}',
        "queues/Queue.queues.example.com/shop/orders",
    ),
    ("shop", "delete service payments", "payments/Service/shop/payments"),
    ("tenants", 'patch configmap directory -p={"data":{"teams":"none"}}', "directory/ConfigMap/tenants/directory"),
    ("tickets", "scale deployment tickets --replicas=5", "tickets/Deployment.apps/tickets/tickets"),
    ("tickets", "delete job tickets-announce", "tickets/Job.batch/tickets/tickets-announce"),
)
NEW = {
    "blueprints/tickets/chart/Chart.yaml": ("appVersion: 4.1.0", "appVersion: 4.2.0"),
    "blueprints/monitoring/base/collector.yaml": ("collector:0.40.0", "collector:0.41.0"),
    "blueprints/queues/agile/queues/queues.yaml": ("capacity: 500", "capacity: 800"),
    "blueprints/shop/blueprint.yaml": ("shop/cart:2.1.3", "shop/cart:2.2.0"),
    "placements.yaml": ("teams: red=10 blue=20", "teams: red=15 green=5"),
}
IMAGE = "{.spec.template.spec.containers[0].image}"
FIELDS = (  # of a hook's Job, a kustomization, an operator's kind, a container, a program, and what its output feeds
    ("tickets", "job/tickets-migrate", IMAGE, "registry.example/tickets:4.1.0", "registry.example/tickets:4.2.0"),
    (
        "monitoring",
        "deployment/collector",
        IMAGE,
        "registry.example/collector:0.40.0",
        "registry.example/collector:0.41.0",
    ),
    ("shop", "queue/mails", "{.spec.capacity}", "500", "800"),
    ("shop", "deployment/cart", IMAGE, "registry.example/shop/cart:2.1.3", "registry.example/shop/cart:2.2.0"),
    ("team-red", "resourcequota/pods", "{.spec.hard.pods}", "10", "15"),
    ("tenants", "configmap/directory", "{.data.teams}", "blue, red", "green, red"),
)
FIRST, SECOND = ([each[which] for each in FIELDS] for which in (3, 4))


@pytest.fixture
def platform(lab_environment: dict[str, str], tmp_path: Path) -> Iterator[Estate]:
    """A copy of the example with an id of its own."""
    root = tmp_path / "platform"
    shutil.copytree(EXAMPLE, root)
    it = Estate(root, {**lab_environment, "PAYMENTS_KEY": PASSWORD, "TICKETS_PASSWORD": PASSWORD})
    it.write("orchestrator.yaml", "3f0c62d4-5a0e-4c55-9d0b-6f2c1c0a7e11", str(uuid.uuid4()))
    yield it
    it.kubectl("delete", "namespace", *NAMESPACES, "team-green", "--ignore-not-found", "--timeout=60s")


def field(platform: Estate, namespace: str, what: str, path: str) -> str:
    return platform.kubectl("--namespace", namespace, "get", what, "-o", f"jsonpath={path}")


def fields(platform: Estate) -> list[str]:
    return [field(platform, *each[:3]) for each in FIELDS]


def namespaces(platform: Estate) -> set[str]:
    there = platform.kubectl("get", "namespaces", "-o", "jsonpath={.items[*].metadata.name}").split()
    return {name for name in there if name != "default" and not name.startswith("kube-")}


def test_the_platform_applies_drifts_heals_rolls_back_and_is_destroyed(platform: Estate) -> None:
    platform.apply()
    assert fields(platform) == FIRST
    looked = platform("plan", "-o", "json").ended(0).data
    assert (looked["changes"], looked["observed"]["pulumi_runs"]) == ([], 0)

    migrated = field(platform, "tickets", "job/tickets-migrate", "{.metadata.uid}")
    for namespace, command, _ in BY_HAND:
        platform.kubectl("--namespace", namespace, *command.split())
    drifted = platform("drift", "-o", "json", "--detailed-exitcode").ended(2).data["changes"]
    assert {c["address"].partition("/agile/")[2] for c in drifted} == {each[2] for each in BY_HAND}
    platform.kubectl(
        "--namespace", "team-red", "patch", "resourcequota/pods", "--type=merge", '-p={"spec":{"hard":{"pods":"9"}}}'
    )
    (program,) = platform("drift", "--deep", "--placement", "tenants", "-o", "json").ended(0).data["changes"][-1:]
    told = {d["path"]: (d["old"], d["new"]) for d in program["differences"]}
    assert told == {"kubernetes:ResourceQuota red-pods: spec.hard.pods": ("9", "10")}
    platform.apply("--again", program["address"])
    assert platform.plan() == {}
    assert fields(platform) == FIRST
    assert field(platform, "tickets", "deployment/tickets", "{.spec.replicas}") == "2"
    assert field(platform, "tickets", "job/tickets-migrate", "{.metadata.uid}") == migrated  # it has not run again

    for path, (old, new) in NEW.items():
        platform.write(path, old, new)
    platform.apply()
    assert platform.plan() == {}
    assert fields(platform) == SECOND
    assert namespaces(platform) == NAMESPACES - {"team-blue"} | {"team-green"}

    for placement in ("tickets", "monitoring", "queues", "shop", "tenants"):
        platform("rollback", placement, "--yes").ended(0)
    assert fields(platform) == FIRST
    assert namespaces(platform) == NAMESPACES
    assert platform.plan() == {}

    platform("destroy", "--yes").ended(0)
    assert namespaces(platform) == set()
    left = platform.kubectl("get", "crd,clusterrole,clusterrolebinding", "-o", "name")
    assert "example.com" not in left
    assert "queue-operator" not in left
    assert not any(PASSWORD in text for text in platform.printed)
    for path in (platform.root / ".orchestrator").rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path
