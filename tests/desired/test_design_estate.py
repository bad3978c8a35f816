"""The estate of the design: it resolves at its sites, and the command shows it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator import desired, documents
from orchestrator.cli.render import render
from orchestrator.model.change import Known

DESIGN = Path(__file__).parents[1] / "fixtures" / "estates" / "design"


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """A copy of its own, in case a command writes."""
    return Path(shutil.copytree(DESIGN, tmp_path / "estate"))


def test_it_has_no_errors() -> None:
    assert desired.check(documents.load(DESIGN)) == ()


def test_it_has_the_units_of_its_sites() -> None:
    found = desired.resolve(documents.load(DESIGN), Known(), {})
    assert found.diagnostics == ()
    count: dict[str, int] = {}
    for unit in found.units:
        count[unit.address.site] = count.get(unit.address.site, 0) + 1
    assert count == {"lab": 6, "shanghai-dc": 4, "store-0001": 2, "store-0002": 2}
    assert [(note.site, note.text) for note in found.notes] == [
        ("store-0001", "no cluster here: agile web is left out"),
        ("store-0002", "no cluster here: agile web is left out"),
    ]
    assert set(found.outputs["lab", "shop-dev"]) == {"url"}
    assert found.outputs["store-0001", "shop"] == {}


def rendered(estate: Path, *options: str) -> str:
    result = CliRunner().invoke(render, ["-C", str(estate), *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_render_shows_units_with_secrets_masked_and_what_is_known_later(estate: Path) -> None:
    data = json.loads(rendered(estate, "--site", "name=lab", "-o", "json"))
    units = {unit["address"]: unit for unit in data["units"]}
    assert len(units) == 6
    configuration = units["lab/shop-dev/stable/orders-db/configuration/orders-db-0"]
    assert configuration["spec"]["vars"] == {"port": 6379, "password": "(secret)"}
    web = units["lab/shop-dev/agile/web/Deployment.apps/webshop/web"]
    environment = web["spec"]["object"]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "ORDERS_DB", "value": "(known later)"} in environment
    assert data["outputs"] == [{"site": "lab", "placement": "shop-dev", "outputs": {"url": "(known later)"}}]


def test_render_reads_static_inventories(estate: Path) -> None:
    data = json.loads(rendered(estate, "--site", "tier in (datacenter)", "--mode", "stable", "-o", "json"))
    hosts = [unit["spec"]["host"] for unit in data["units"]]
    assert hosts == ["db-a", "db-b"]


def test_render_as_yaml_is_what_it_is_as_json(estate: Path) -> None:
    import yaml

    options = ("--site", "name=lab", "--placement", "shop-dev")
    assert yaml.safe_load(rendered(estate, *options)) == json.loads(rendered(estate, *options, "-o", "json"))
