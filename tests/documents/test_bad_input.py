"""Every mistake gets one message, at its place, that says what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from orchestrator import documents
from orchestrator.errors import DocumentsError
from tests.documents.conftest import MakeEstate

ESTATE, SHOP, SITES, BLUEPRINT = "orchestrator.yaml", "shop.yaml", "sites.yaml", "blueprints/shop/blueprint.yaml"


class Case(NamedTuple):
    """One edit of the small estate, and all that is said about it."""

    name: str
    file: str
    old: str
    new: str
    said: list[str]


CASES = [Case(**case) for case in yaml.safe_load(Path(__file__).with_name("bad_input.yaml").read_text())]


pytestmark = pytest.mark.usefixtures("no_catalogue")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_gets_one_message_at_its_place(case: Case, estate: MakeEstate) -> None:
    root = estate((case.file, case.old, case.new))
    assert [str(diagnostic) for diagnostic in diagnostics_of(root)] == case.said


def diagnostics_of(root: Path) -> tuple[documents.Diagnostic, ...]:
    try:
        return documents.load(root).diagnostics
    except DocumentsError as error:
        return error.diagnostics


def test_nothing_is_said_about_what_is_right(estate: MakeEstate) -> None:
    assert documents.load(estate()).diagnostics == ()


def test_all_errors_are_said_at_once(estate: MakeEstate) -> None:
    root = estate(
        (SHOP, "port: 5432", "port: 80"),
        (SITES, "hosts.yml", "host.yml"),
        (BLUEPRINT, "playbook: db.yaml", "playbook: bd.yaml"),
    )
    assert [diagnostic.source.file for diagnostic in diagnostics_of(root)] == [BLUEPRINT, SHOP, SITES]


def test_a_broken_estate_document_does_not_hide_the_other_errors(estate: MakeEstate) -> None:
    root = estate((ESTATE, "kind: Estate", "kind: Estat"), (SHOP, "metadata: {name: shop}", "metadata: {nam: shop}"))
    with pytest.raises(DocumentsError) as raised:
        documents.load(root)
    assert {diagnostic.source.file for diagnostic in raised.value.diagnostics} == {ESTATE, SHOP}


def test_a_secret_in_the_wrong_place_is_not_repeated_in_the_message(estate: MakeEstate) -> None:
    root = estate((SHOP, "{secretRef: {env: PASSWORD}}", "canary-in-clear"))
    assert "canary" not in " ".join(str(diagnostic) for diagnostic in diagnostics_of(root))
