"""The examples are valid, as `orchestrator validate` sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import desired, documents

EXAMPLES = sorted(path.parent for path in (Path(__file__).parents[2] / "examples").glob("*/orchestrator.yaml"))


@pytest.mark.parametrize("root", EXAMPLES, ids=lambda path: path.name)
def test_the_example_is_valid(root: Path) -> None:
    loaded = documents.load(root)
    assert [*loaded.diagnostics, *desired.check(loaded)] == []
    assert loaded.placements
