"""Small estates in a folder of the test's own."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from tests.desired.estates import Make, build


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """`build` in a temporary folder."""
    return functools.partial(build, tmp_path)
