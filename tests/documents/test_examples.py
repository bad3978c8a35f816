"""The examples are valid, as `orchestrator validate` sees them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator import desired, documents
from orchestrator.documents.finding import catalogue
from orchestrator.model.change import Known

EXAMPLES = sorted(path.parent for path in (Path(__file__).parents[2] / "examples").glob("*/orchestrator.yaml"))


@pytest.mark.parametrize("root", EXAMPLES, ids=lambda path: path.name)
def test_the_example_is_valid(root: Path) -> None:
    loaded = documents.load(root)
    assert [*loaded.diagnostics, *desired.check(loaded)] == []
    assert loaded.placements


def test_the_built_in_blueprints_are_valid(tmp_path: Path) -> None:
    place = catalogue()
    assert place is not None
    shutil.copytree(place, tmp_path / "blueprints")
    (tmp_path / "orchestrator.yaml").write_text((EXAMPLES[0] / "orchestrator.yaml").read_text())
    loaded = documents.load(tmp_path)
    assert {source.folder.is_built_in for source in loaded.blueprints.values()} == {False}
    assert [*loaded.diagnostics, *desired.check(loaded)] == []


def test_the_data_center_has_two_machines_each_with_its_configuration() -> None:
    loaded = documents.load(next(path for path in EXAMPLES if path.name == "datacenter"))
    found = desired.resolve(loaded, Known(), {})
    assert found.diagnostics == ()
    machines, configurations = found.units[:2], found.units[2:]
    assert [unit.address.name for unit in machines] == ["orders-db-0", "orders-db-1"]
    assert machines[0].spec["disks"] == {"data": {"size": "200Gi", "keep": True}}
    assert [set(unit.needs) for unit in configurations] == [{machine.address} for machine in machines]
