"""Each case file is a situation; the plan says what it must."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import PlanError
from tests.planning.support import CASES, read, rows


@pytest.mark.parametrize("path", sorted(CASES.glob("*.yaml")), ids=lambda path: path.stem)
def test_situation(path: Path) -> None:
    case = read(path)
    if "error" in case.data:
        with pytest.raises(PlanError) as raised:
            case.plan()
        for part in case.data["error"]:
            assert part in str(raised.value)
        return
    made = case.plan()
    assert rows(made) == (case.data["expect"] or [])
    assert [note.text for note in made.notes] == case.data.get("notes", [])
    batches = {
        str(change.address): f"{change.batch.number} of {change.batch.of}" for change in made.changes if change.batch
    }
    assert batches == case.data.get("batches", {})
    drift = sorted(str(change.address) for change in made.changes if change.drift)
    assert drift == sorted(case.data.get("drift", []))


def test_there_are_case_files() -> None:
    assert len(list(CASES.glob("*.yaml"))) > 30
