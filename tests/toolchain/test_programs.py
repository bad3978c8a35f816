"""The pins: versions as programs print them, and folders that are really there."""

from __future__ import annotations

import pytest

from orchestrator.toolchain import PROGRAMS
from orchestrator.toolchain.build import MODULES
from orchestrator.toolchain.programs import parse_version


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("v3.259.0\n", (3, 259, 0)),
        ("etcd Version: 3.6.8\nGit SHA: Not provided\nGo Version: go1.26.8\n", (3, 6, 8)),
        ("Kubernetes v1.36.3\n", (1, 36, 3)),
        ("kwok version v0.8.0 go1.26.8 (linux/amd64)\n", (0, 8, 0)),
        ("Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0\n", (1, 32, 4)),
        ("Kubernetes v1.36.0-rc.1\n", None),
        ("Kubernetes v1.36.10-alpha.2\n", None),
        ("unknown", None),
    ],
)
def test_version_is_read_from_what_programs_print(printed: str, version: tuple[int, int, int] | None) -> None:
    assert parse_version(printed) == version


def test_a_pin_accepts_its_own_version_and_names_its_modules() -> None:
    for pin in PROGRAMS.values():
        assert pin.is_acceptable(pin.version), pin.name
        module = MODULES / pin.build.module
        assert (module / "go.mod").is_file()
        assert (module / "go.sum").is_file()


def test_pinned_modules_hold_the_pinned_versions() -> None:
    pinned = {"pulumi": "github.com/pulumi/pulumi/pkg/v3", "etcd": "go.etcd.io/etcd/server/v3"}
    pinned |= {name: "k8s.io/kubernetes" for name in PROGRAMS if name.startswith("kube")} | {"kwok": "sigs.k8s.io/kwok"}
    pinned["helm"] = "helm.sh/helm/v4"
    for name, module in pinned.items():
        text = (MODULES / PROGRAMS[name].build.module / "go.mod").read_text()
        assert f"{module} v{PROGRAMS[name].version}" in text, name


def test_kubernetes_components_of_another_minor_version_are_not_accepted() -> None:
    assert PROGRAMS["kube-apiserver"].is_acceptable("1.36.9")
    assert not PROGRAMS["kube-apiserver"].is_acceptable("1.37.0")
    assert PROGRAMS["kubectl"].is_acceptable("1.37.0")
    assert not PROGRAMS["kubectl"].is_acceptable("1.38.0")
