"""`orchestrator validate`: everything that is wrong in the documents, at once; contacts nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import estate_option, output_option

if TYPE_CHECKING:
    from orchestrator.model.source import Diagnostic


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path, exists=True))
@estate_option
@output_option("table", "json")
def validate(path: Path | None, estate: Path | None, output: str) -> None:
    """Check all documents of the estate that PATH lies in, and show every error at its place.

    Nothing is contacted, no secret is read. Exit code 1 where there are errors; warnings do not count.
    """
    from orchestrator import documents
    from orchestrator.cli.views.diagnostics import diagnostics_data, diagnostics_text, lines_below
    from orchestrator.errors import DocumentsError

    root: Path | None = None
    files = 0
    try:
        root = documents.find_root(path or estate or Path.cwd())
        diagnostics, files = diagnose(root)
    except DocumentsError as error:
        diagnostics = error.diagnostics
    if output == "json":
        click.echo(json.dumps(diagnostics_data(diagnostics), indent=2))
    else:
        lines = lines_below(root) if root else lambda file: ()
        click.echo(diagnostics_text(diagnostics, lines, files=files, colour=sys.stdout.isatty()))
    if any(diagnostic.severity == "error" for diagnostic in diagnostics):
        raise SystemExit(1)


def diagnose(root: Path) -> tuple[Sequence[Diagnostic], int]:
    """What is wrong in the estate at `root`, and how many files hold its documents. Raises DocumentsError."""
    from orchestrator import desired, documents

    loaded = documents.load(root)
    return merged(loaded.diagnostics, desired.check(loaded)), len(loaded.files)


def merged(first: Iterable[Diagnostic], then: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Both, in order of place; what the second says about a place that the first has found wrong is a consequence."""
    first = tuple(first)
    wrong = {diagnostic.source for diagnostic in first if diagnostic.severity == "error"}
    return tuple(sorted({*first, *(diagnostic for diagnostic in then if diagnostic.source not in wrong)}))
