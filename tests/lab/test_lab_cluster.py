"""A real control plane: one for this file, since each costs seconds and half a gigabyte."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import ToolchainError
from orchestrator.lab import cluster, whole
from orchestrator.lab.api import Api
from orchestrator.lab.home import Home
from orchestrator.lab.members import MEMBERS, Layout
from orchestrator.lab.processes import with_environment
from tests.lab.helping import command_line

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("cluster") / "lab")
    try:
        whole.up(home, lambda _: None)
    except ToolchainError as error:
        pytest.skip(f"the programs of the control plane are not to be had: {error.message}")
    yield home
    whole.down(home)


@pytest.fixture
def api(lab: Home) -> Api:
    record = cluster.Record.read(lab)
    layout = Layout(lab.cluster, record.ports)
    return Api(record.ports["kube-apiserver"], layout.ca, record.tokens["admin"])


def deployment(name: str, annotations: dict[str, str] | None = None) -> dict[str, object]:
    template = {
        "metadata": {"labels": {"app": name}, "annotations": annotations or {}},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def wait_for(what, seconds: float = 30.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError("not within its time")


def test_up_gives_a_kubeconfig_and_status_says_what_runs(lab: Home):
    seen = json.loads(command_line(lab, "status", "-o", "json").stdout)
    assert Path(seen["kubeconfig"]).is_file()
    assert {member["name"]: member["state"] for member in seen["members"]} == dict.fromkeys(MEMBERS, "running")
    assert seen["machines"] == []


def test_up_twice_starts_nothing(lab: Home):
    before = cluster.status(lab)
    done = command_line(lab, "up")
    assert done.returncode == 0
    assert "started" not in done.stderr
    assert cluster.status(lab) == before


def test_nobody_without_a_token_is_let_in(api: Api, lab: Home):
    record = cluster.Record.read(lab)
    stranger = Api(record.ports["kube-apiserver"], Layout(lab.cluster, record.ports).ca, "wrong")
    assert stranger.call("GET", "/api/v1/namespaces")[0] == 401


def test_no_token_is_on_a_command_line(lab: Home):
    tokens = cluster.Record.read(lab).tokens.values()
    for process in with_environment("ORCHESTRATOR_LAB", lab.id()):
        words = Path(f"/proc/{process.pid}/cmdline").read_text()
        assert not any(token in words for token in tokens)


def test_a_deployment_becomes_available_and_its_pods_go_with_it(api: Api):
    path = "/apis/apps/v1/namespaces/default/deployments"
    assert api.call("POST", path, deployment("web"))[0] == 201
    wait_for(lambda: api.call("GET", f"{path}/web")[1]["status"].get("availableReplicas") == 2)
    assert api.call("DELETE", f"{path}/web", {"propagationPolicy": "Foreground"})[0] == 200
    wait_for(lambda: not api.call("GET", "/api/v1/namespaces/default/pods?labelSelector=app%3Dweb")[1]["items"])


def test_pods_can_be_told_to_fail(api: Api):
    path = "/apis/apps/v1/namespaces/default/deployments"
    for kind, reason in (("image-pull-error", "ErrImagePull"), ("crash-loop", "CrashLoopBackOff")):
        assert api.call("POST", path, deployment(kind, {"lab.orchestrator.dev/pod": kind}))[0] == 201

        def waiting(name: str = kind) -> set[str]:
            pods = api.call("GET", f"/api/v1/namespaces/default/pods?labelSelector=app%3D{name}")[1]["items"]
            statuses = [status for pod in pods for status in pod["status"].get("containerStatuses", [])]
            return {status["state"].get("waiting", {}).get("reason", "") for status in statuses}

        assert wait_for(waiting) == {reason}
        assert api.call("GET", f"{path}/{kind}")[1]["status"].get("availableReplicas", 0) == 0


@pytest.mark.parametrize("victims", [["etcd"], ["kube-apiserver"], ["kube-scheduler", "kwok"]])
def test_status_names_a_killed_member_and_up_mends_it(lab: Home, api: Api, victims: list[str]):
    record = cluster.Record.read(lab)
    for victim in victims:
        record.members[victim].signal(signal.SIGKILL)
    wait_for(lambda: [name for name, _, state in cluster.status(lab) if state == "dead"] == victims, 5)
    shown = command_line(lab, "status")
    assert all(f"{victim:<26}dead" in shown.stdout for victim in victims)
    assert "orchestrator lab up" in shown.stdout
    done = command_line(lab, "up")
    assert done.returncode == 0, done.stderr
    assert f"started {', '.join(victims)}" in done.stderr
    assert {state for _, _, state in cluster.status(lab)} == {"running"}
    assert wait_for(lambda: api.call("GET", "/api/v1/namespaces/default")[0] == 200)


def test_the_api_servers_port_taken_by_another_is_no_obstacle(lab: Home):
    import socket

    record = cluster.Record.read(lab)
    port = record.ports["kube-apiserver"]
    record.members["kube-apiserver"].signal(signal.SIGKILL)
    wait_for(lambda: record.state("kube-apiserver") == "dead", 5)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        assert command_line(lab, "up").returncode == 0
    after = cluster.Record.read(lab)
    assert after.ports["kube-apiserver"] != port
    assert str(after.ports["kube-apiserver"]) in (lab.cluster / "kubeconfig").read_text()


def test_down_leaves_no_process_and_no_file(lab: Home):
    name = lab.id()
    assert len(list(with_environment("ORCHESTRATOR_LAB", name))) == len(MEMBERS)
    assert command_line(lab, "down").returncode == 0
    assert not lab.path.exists()
    assert list(with_environment("ORCHESTRATOR_LAB", name)) == []
