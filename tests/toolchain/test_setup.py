"""The set-up of a bare machine: which Python, and uv without pip."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from tests.toolchain.conftest import ReleaseServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/setup.py, with a bootstrap folder of the test's own."""
    spec = importlib.util.spec_from_file_location("setup_script", ROOT / "scripts" / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "BOOTSTRAP", tmp_path / "bootstrap")
    return module


def wheel(program: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("uv-9.9.9.data/scripts/uv", program)
    return buffer.getvalue()


def serve_index(server: ReleaseServer, setup: ModuleType, monkeypatch: pytest.MonkeyPatch, content: bytes) -> str:
    """A package index with one wheel of uv; returns the wheel's file name."""
    name = setup.wheel_for_this_machine(list(setup.locked_uv()[1]))
    page = f'<html><a href="../../files/{name}#sha256=0">{name}</a></html>'
    server.answers["/simple/uv/"] = page.encode()
    server.answers[f"/files/{name}"] = content
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{server.url}/simple")
    return str(name)


def test_uv_comes_from_the_index_where_there_is_no_pip(
    server: ReleaseServer, setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = wheel(b"#!/bin/sh\necho uv 9.9.9\n")
    name = serve_index(server, setup, monkeypatch, content)
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(setup, "locked_uv", lambda: ("9.9.9", {name: digest}))
    uv = setup.uv_by_wheel()
    assert subprocess.run([uv], capture_output=True, text=True, check=True).stdout == "uv 9.9.9\n"
    assert setup.uv_of_bootstrap() == uv


def test_uv_that_is_not_the_locked_one_is_refused(
    server: ReleaseServer, setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_index(server, setup, monkeypatch, wheel(b"evil"))
    with pytest.raises(setup.SetupError, match=r"is not what uv\.lock says"):
        setup.uv_by_wheel()
    assert setup.uv_of_bootstrap() is None


def test_index_that_cannot_be_reached_is_told_with_the_way_out(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(setup.SetupError, match="name an index that can be reached"):
        setup.uv_by_wheel()


def find_python(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", str(ROOT / "scripts" / "find_python.sh")]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": str(path), **environment})


def fake_python(folder: Path, name: str, *, fits: bool) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\n[ \"$1\" = --version ] && echo 'Python 3.9.2' && exit\nexit {0 if fits else 1}\n")
    program.chmod(0o755)
    return program


def test_first_python_that_fits_is_taken(tmp_path: Path) -> None:
    fake_python(tmp_path, "python3", fits=False)
    wanted = fake_python(tmp_path, "python3.11", fits=True)
    assert find_python(tmp_path).stdout.strip() == str(wanted)


def test_python_that_is_named_goes_first(tmp_path: Path) -> None:
    fake_python(tmp_path, "python3", fits=True)
    assert find_python(tmp_path, PYTHON=sys.executable).stdout.strip() == sys.executable


def test_no_python_that_fits_is_said_with_what_is_there(tmp_path: Path) -> None:
    fake_python(tmp_path, "python3", fits=False)
    result = find_python(tmp_path)
    assert result.returncode == 1
    assert "no Python 3.11 to 3.14 on PATH (python3 is: Python 3.9.2)" in result.stderr
    assert "make PYTHON=" in result.stderr


def test_lock_names_the_wheel_of_this_machine(setup: ModuleType) -> None:
    version, wheels = setup.locked_uv()
    name = setup.wheel_for_this_machine(list(wheels))
    assert name.startswith(f"uv-{version}-")
    assert os.uname().machine in name
