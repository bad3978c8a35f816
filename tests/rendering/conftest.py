"""The real programs, behind a cache of the test's own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import toolchain
from orchestrator.rendering import ProgramRenderer
from tests.desired.estates import Make, build


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
