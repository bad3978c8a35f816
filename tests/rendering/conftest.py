"""The real kubectl, behind a cache of the test's own."""

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


@pytest.fixture
def renderers(tmp_path: Path) -> Callable[[], ProgramRenderer]:
    """Makes renderers with one cache, as further commands would."""
    kubectl = toolchain.ensure(["kubectl"], lambda line: None)["kubectl"]
    return lambda: ProgramRenderer(tmp_path / "renderings", lambda: "1.0.0", lambda: kubectl)
