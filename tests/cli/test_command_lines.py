"""Command lines that make no sense are refused before anything is contacted or changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import root


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """An estate with a site that cannot be reached and nothing placed on it."""
    (tmp_path / "orchestrator.yaml").write_text(
        "apiVersion: orchestrator/v1alpha1\nkind: Estate\n"
        "metadata: {name: acme, id: 7d0c1f4e-2b61-4c7e-9f0e-3f1a5b8c2d90}\n"
    )
    (tmp_path / "site.yaml").write_text(
        "apiVersion: orchestrator/v1alpha1\nkind: Site\nmetadata: {name: lab}\nspec: {}\n"
    )
    return tmp_path


def told(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(root, [str(each) for each in arguments])
    return result.exit_code, result.output


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"serial": "x", "changes": []}', "not JSON", "\x00"])
def test_a_file_that_is_no_saved_plan_is_never_applied(empty: Path, content: str) -> None:
    (empty / "change.plan").write_text(content)
    code, text = told("apply", empty / "change.plan", "-C", empty)
    assert code == 1
    assert "is not a saved plan" in text


def test_a_plan_is_not_saved_where_there_is_no_folder(empty: Path) -> None:
    code, text = told("plan", "-C", empty, "--out", empty / "nowhere" / "change.plan")
    assert (code, text) == (
        64,
        f"Error: there is no folder {empty / 'nowhere'}\n  make it, or name another file with --out\n",
    )


def test_a_plan_that_cannot_be_written_is_said(empty: Path) -> None:
    code, text = told("plan", "-C", empty, "--out", empty / ("x" * 300))
    assert code == 1
    assert "the plan cannot be saved: " in text
    assert "File name too long" in text


def test_what_is_doubtful_in_the_documents_is_told_with_the_plan(empty: Path) -> None:
    folder = empty / "blueprints" / "web"
    folder.mkdir(parents=True)
    (folder / "map.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    head = "apiVersion: orchestrator/v1alpha1\nkind: {}\nmetadata: {{name: web{}}}\n"
    ready = "ready: [{kind: Deploymnt, condition: '${true}'}]"
    workload = f"spec: {{agile: {{web: {{manifests: [map.yaml], {ready}}}}}}}\n"
    (folder / "blueprint.yaml").write_text(head.format("Blueprint", ", version: 1.0.0") + workload)
    (empty / "web.yaml").write_text(head.format("Placement", "") + "spec: {blueprint: ./blueprints/web, sites: {}}\n")
    cluster = "spec: {agile: {cluster: {kubeconfig: nowhere}}}\n"
    (empty / "site.yaml").write_text((empty / "site.yaml").read_text().replace("spec: {}\n", cluster))
    assert "Warning: blueprints/web/blueprint.yaml:4:" in told("plan", "-C", empty)[1]


def test_a_site_by_its_bare_name_is_told_how_to_be_named(empty: Path) -> None:
    assert told("plan", "-C", empty, "--site", "lab")[1].endswith("  by its name: --site name=lab\n")


def test_a_lease_is_not_taken_where_nobody_can_answer(empty: Path) -> None:
    code, text = told("unlock", "lab", "-C", empty)
    assert code == 64
    assert "nothing was unlocked\n  give --yes" in text


def test_no_time_between_two_looks_is_refused(empty: Path) -> None:
    assert told("reconcile", "-C", empty, "--every", "0s", "--once")[0] == 64


def test_how_often_to_watch_is_no_option_without_watching(empty: Path) -> None:
    code, text = told("drift", "-C", empty, "--every", "5s")
    assert (code, text.splitlines()[0]) == (64, "Error: --every goes with --watch")
