"""The real programs, behind a cache of the test's own."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import toolchain
from orchestrator.rendering import ProgramRenderer
from tests.desired.estates import Make, build

CHART = {
    "Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    "templates/web.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n",
}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """An estate in a temporary folder."""
    return functools.partial(build, tmp_path / "estate")


@pytest.fixture(scope="session")
def programs() -> dict[str, Path]:
    """helm and kubectl."""
    return toolchain.ensure(["helm", "kubectl"], lambda line: None)


@pytest.fixture
def renderers(tmp_path: Path, programs: dict[str, Path]) -> Callable[[], ProgramRenderer]:
    """Makes renderers with one cache, as further commands would."""
    return lambda: ProgramRenderer(
        tmp_path / "renderings", tmp_path / "charts", lambda name: "1.0.0", lambda name: programs[name]
    )


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory, programs: dict[str, Path]) -> Path:
    """The chart as a .tgz."""
    folder = tmp_path_factory.mktemp("chart")
    for name, content in CHART.items():
        path = folder / "web" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    subprocess.run([programs["helm"], "package", folder / "web", "-d", folder], check=True, capture_output=True)
    return folder / "web-1.0.0.tgz"


@pytest.fixture
def spied(programs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where every command line and environment of helm is written down."""
    seen, spy = tmp_path / "seen", tmp_path / "helm"
    spy.write_text(f'#!/bin/sh\n{{ echo "$@"; /usr/bin/env; }} >> {seen}\nexec {programs["helm"]} "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setitem(programs, "helm", spy)
    return seen
