"""Labs of the tests' own: each in a temporary folder, gone with all its processes when the test ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import LabError
from orchestrator.lab import client, sandbox, whole
from orchestrator.lab.home import Home
from tests.lab.helping import Run


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home for a lab; whatever the test makes of it is taken down."""
    home = Home(tmp_path / "lab")
    yield home
    whole.down(home)


@pytest.fixture
def sandboxes() -> sandbox.Way:
    try:
        return sandbox.choose()
    except LabError as error:
        pytest.skip(f"no sandbox works here: {error.message}")


@pytest.fixture
def run(home: Home) -> Run:
    """run(machine, "shell command", data=b"") -> exit code, stdout, stderr."""

    def run(machine: str, command: str, data: bytes = b"") -> tuple[int, str, str]:
        argv = ["/bin/sh", "-c", command]
        code, out, err = client.communicate(home.machine(machine), argv, data, env={}, timeout=10)
        return code, out.decode(), err.decode()

    return run
