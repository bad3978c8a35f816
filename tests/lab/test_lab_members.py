from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from orchestrator.lab import cluster, pki
from orchestrator.lab.members import MEMBERS, PORTS, USERS, Layout
from orchestrator.toolchain import PROGRAMS


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "pki").mkdir()
    pki.make(tmp_path / "pki")
    return Layout(tmp_path, {name: 20000 + i for i, name in enumerate(PORTS)})


def test_every_member_is_a_program_of_the_toolchain():
    assert set(MEMBERS) <= set(PROGRAMS)


@pytest.mark.parametrize("member", MEMBERS)
def test_members_listen_on_loopback_only(layout: Layout, member: str):
    words = " ".join(layout.argv(member, Path(f"/bin/{member}")))
    assert "0.0.0.0" not in words
    listening = {"etcd": "https://127.0.0.1:", "kube-apiserver": "--bind-address=127.0.0.1"}
    assert listening.get(member, "") in words
    if member in ("kube-controller-manager", "kube-scheduler"):
        assert "--secure-port=0" in words


def test_keys_are_private_and_the_kubeconfig_stands_alone(layout: Layout):
    assert all(path.stat().st_mode & 0o077 == 0 for path in (layout.folder / "pki").iterdir())
    config = yaml.safe_load(cluster.kubeconfig_text(layout, "a-token"))
    assert config["users"][0]["user"] == {"token": "a-token"}
    assert set(config["clusters"][0]["cluster"]) == {"server", "certificate-authority-data"}


def test_only_the_administrators_kubeconfig_is_at_the_top(layout: Layout):
    assert [user for user in USERS if layout.kubeconfig(user).parent == layout.folder] == ["admin"]


def test_ports_are_free_and_distinct():
    ports = cluster.free_ports(PORTS)
    assert set(ports) == set(PORTS)
    assert len(set(ports.values())) == len(PORTS)


def test_stages_are_valid_documents_of_kwok():
    for path in (Path(cluster.__file__).with_name("stages")).glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            assert document["apiVersion"] == "kwok.x-k8s.io/v1alpha1"
            assert document["kind"] == "Stage"
