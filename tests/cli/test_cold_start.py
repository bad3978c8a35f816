"""Starting the CLI costs little: no command's heavy libraries are imported before that command runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"kubernetes", "pulumi", "ansible", "ansible_runner", "sqlalchemy", "grpc", "alembic"}


def imported_by(*arguments: str) -> set[str]:
    """Top-level packages that `python -m orchestrator ...` imports."""
    command = [sys.executable, "-X", "importtime", "-m", "orchestrator", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in lines}


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("toolchain", "--help"), ("doctor", "--help")])
def test_starting_imports_no_heavy_library(arguments: tuple[str, ...]) -> None:
    imported = imported_by(*arguments)
    assert "orchestrator" in imported
    assert imported & HEAVY == set()


def test_the_check_would_see_a_heavy_library() -> None:
    command = [sys.executable, "-X", "importtime", "-c", "import sqlalchemy"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert any(line.rsplit("|", 1)[-1].strip() == "sqlalchemy" for line in done.stderr.splitlines())
