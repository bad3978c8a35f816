"""The commands init, schema and validate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator import documents
from orchestrator.cli.init import derived, init
from orchestrator.cli.schema import KINDS, schema
from orchestrator.cli.validate import validate
from orchestrator.documents.schema import schema as schema_of
from orchestrator.errors import OrchestratorError, UsageError
from tests.documents.conftest import MakeEstate

DESIGN = Path(__file__).parents[1] / "fixtures" / "estates" / "design"
EXAMPLE = Path(__file__).parents[2] / "examples" / "webshop"


def run(command: object, *arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(command, [str(argument) for argument in arguments])  # type: ignore[arg-type]
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def test_a_new_estate_is_right(tmp_path: Path) -> None:
    assert run(init, tmp_path / "My Shop!")[0] == 0
    loaded = documents.load(tmp_path / "My Shop!")
    assert loaded.diagnostics == ()
    assert loaded.estate.model.metadata.name == "my-shop"
    blueprint = loaded.blueprints[loaded.chosen["hello"]]
    assert blueprint.folder.label == "blueprints/hello"
    assert len(blueprint.document.model.spec.stable) == len(blueprint.document.model.spec.agile) == 1
    assert run(validate, tmp_path / "My Shop!")[0] == 0


def test_two_new_estates_have_two_ids(tmp_path: Path) -> None:
    ids = set()
    for name in ("a", "b"):
        run(init, tmp_path / name, "--name", "same")
        ids.add(documents.load(tmp_path / name).estate.model.metadata.id)
    assert len(ids) == 2


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "hello.yaml").write_text("mine")
    with pytest.raises(OrchestratorError, match=r"hello\.yaml is there already; nothing was written"):
        run(init, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["hello.yaml"]


def test_init_leaves_the_readme_of_a_fresh_repository(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    assert run(init, tmp_path, "--name", "x")[0] == 0
    assert (tmp_path / "README.md").read_text() == "mine"
    assert (tmp_path / ".gitignore").read_text() == ".orchestrator/\n"


def test_init_refuses_a_folder_inside_an_estate(tmp_path: Path) -> None:
    run(init, tmp_path / "outer")
    with pytest.raises(OrchestratorError, match="lies in the estate"):
        run(init, tmp_path / "outer" / "inner")


def test_init_refuses_a_name_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--name a-b"):
        run(init, tmp_path, "--name", "A b")
    assert derived("--!!--") == "estate"
    assert len(derived("x" * 100)) == 63


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_the_schema_is_json_schema(kind: str | None) -> None:
    code, text = run(schema, *([kind.lower()] if kind else []))
    assert code == 0
    data = json.loads(text)
    assert data == schema_of(kind)
    assert data["$schema"].startswith("https://json-schema.org/")
    assert "secret_ref" not in text  # the names of documents, not of Python


def test_the_schema_names_every_kind_that_is_read() -> None:
    from orchestrator.documents.validation import KINDS as READ

    assert tuple(READ) == KINDS


@pytest.mark.parametrize("root", [DESIGN, EXAMPLE], ids=["design", "example"])
def test_validate_accepts_what_is_right(root: Path) -> None:
    code, text = run(validate, root)
    assert (code, text) == (0, f"No errors in {len(documents.load(root).files)} files.\n")


def test_validate_shows_each_error_at_its_line(estate: MakeEstate) -> None:
    root = estate(("shop.yaml", "port: 5432", "prot: 5432"))
    code, text = run(validate, root / "blueprints")
    assert code == 1
    assert text.splitlines() == [
        "shop.yaml:8:5: parameter `prot` is not declared by shop 1.2.0; did you mean `port`?",
        "    8 |     prot: 5432",
        "            ^",
        "1 error in 1 of 4 files.",
    ]


def test_validate_gives_the_same_as_data(estate: MakeEstate) -> None:
    code, text = run(validate, estate(("shop.yaml", "port: 5432", "prot: 5432")), "-o", "json")
    assert code == 1
    assert json.loads(text)["diagnostics"] == [
        {
            "file": "shop.yaml",
            "line": 8,
            "column": 5,
            "severity": "error",
            "message": "parameter `prot` is not declared by shop 1.2.0",
            "hint": "did you mean `port`?",
        }
    ]


def test_validate_shows_errors_of_expressions_too(estate: MakeEstate) -> None:
    old, new = "${stable.db.outputs.host}", "${stable.db.outputs.hots}"
    code, text = run(
        validate, estate(("blueprints/shop/blueprint.yaml", old, new), ("shop.yaml", "port: 5432", "prot: 1"))
    )
    assert code == 1
    assert "blueprints/shop/blueprint.yaml:24:" in text
    assert "hots" in text
    assert "shop.yaml:8:5: parameter `prot`" in text


def test_the_line_of_a_secret_in_clear_is_not_shown(estate: MakeEstate) -> None:
    root = estate(("shop.yaml", "{secretRef: {env: PASSWORD}}", "canary-in-clear"))
    for output in ("table", "json"):
        code, text = run(validate, root, "-o", output)
        assert code == 1
        assert "given as a plain value" in text
        assert "canary" not in text


def test_a_warning_is_shown_and_is_no_failure(estate: MakeEstate) -> None:
    override = "  overrides: [{sites: {matchLabels: {env: prod}}, values: {port: 5433}}]\n  values:"
    code, text = run(validate, estate(("shop.yaml", "  values:", override)))
    assert code == 0
    assert "warning: " in text


def test_validate_without_an_estate_says_how_to_make_one(tmp_path: Path) -> None:
    code, text = run(validate, tmp_path)
    assert code == 1
    assert "orchestrator init" in text
    assert json.loads(run(validate, tmp_path, "-o", "json")[1])["diagnostics"][0]["line"] == 0
