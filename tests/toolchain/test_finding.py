"""Finding what is there, without network and without asking twice."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orchestrator.errors import ToolchainError
from orchestrator.toolchain import find, look
from orchestrator.toolchain.cache import cache_root
from orchestrator.toolchain.finding import candidates, rejected
from tests.toolchain.conftest import script


def put_on_path(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def put_in_cache(cache: Path, name: str, version: str, content: bytes) -> Path:
    folder = cache / "toolchain" / name / version
    folder.mkdir(parents=True)
    (folder / "installed.json").write_text(json.dumps({"way": "built", "size": len(content)}))
    return put_on_path(folder, name, content)


def test_program_on_path_at_an_acceptable_version_is_taken(tmp_path: Path) -> None:
    etcd = put_on_path(tmp_path / "path", "etcd", script("3.6.11"))
    found = look("etcd")
    assert found is not None
    assert (found.path, found.version, found.way) == (etcd, "3.6.11", "path")


def test_program_on_path_that_is_too_old_is_passed_over_for_the_installed_one(tmp_path: Path, own_cache: Path) -> None:
    put_on_path(tmp_path / "path", "etcd", script("3.5.0"))
    assert find("etcd") is None
    installed = put_in_cache(own_cache, "etcd", "3.6.8", script("3.6.8"))
    assert find("etcd") == installed
    assert rejected("etcd") == [f"{tmp_path / 'path' / 'etcd'} is 3.5.0, needed is >=3.6.0,<3.7.0"]


def test_second_acceptable_program_on_path_is_found_behind_an_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    put_on_path(old, "etcd", script("3.5.0"))
    wanted = put_on_path(new, "etcd", script("3.6.8"))
    monkeypatch.setenv("PATH", f"{old}{os.pathsep}{new}")
    assert find("etcd") == wanted


def test_version_on_path_is_asked_once_and_again_when_the_file_changes(tmp_path: Path) -> None:
    counter = tmp_path / "asked"
    counting = f"#!/bin/sh\necho x >> {counter}\necho 3.6.8\n".encode()
    program = put_on_path(tmp_path / "path", "etcd", counting)
    assert find("etcd") == program
    assert find("etcd") == program
    assert counter.read_text().count("x") == 1
    put_on_path(tmp_path / "path", "etcd", counting.replace(b"3.6.8", b"3.4.99"))
    assert find("etcd") is None
    assert counter.read_text().count("x") == 2


def test_program_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    put_on_path(tmp_path / "path", "etcd", b"\x7fELF not really")
    assert find("etcd") is None
    assert "does not tell its version" in rejected("etcd")[0]


def test_installed_program_cut_short_is_not_found(own_cache: Path) -> None:
    installed = put_in_cache(own_cache, "etcd", "3.6.8", script("3.6.8"))
    installed.write_bytes(b"#!/bin/sh\n")
    assert find("etcd") is None


def test_another_pinned_version_in_the_cache_is_not_used(own_cache: Path) -> None:
    put_in_cache(own_cache, "etcd", "3.6.7", script("3.6.7"))
    assert find("etcd") is None


def test_unknown_name_is_an_error_that_names_the_programs() -> None:
    with pytest.raises(ToolchainError, match=r"no program named 'docker'; there are pulumi, etcd"):
        find("docker")


def test_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORCHESTRATOR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "orchestrator"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_root() == tmp_path / "home" / ".cache" / "orchestrator"
    monkeypatch.setenv("HOME", "")  # as in some containers
    assert cache_root().is_absolute()
    assert cache_root() != Path("/.cache/orchestrator")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_on_path_that_may_not_be_entered_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    monkeypatch.setenv("PATH", str(closed))
    assert [path for path, way in candidates("etcd") if way == "path"] == []
