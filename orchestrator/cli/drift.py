"""`orchestrator drift`: what is not as it was left."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import estate_option, output_option, parallel_option, scope_options
from orchestrator.cli.session import Limits, session
from orchestrator.cli.views import drift as view
from orchestrator.planning import drifted


@click.command()
@estate_option
@scope_options
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 2 where something drifted, 3 where units could not be seen."
)
@parallel_option
@output_option("table", "json", "name")
def drift(estate: Path | None, limits: Limits, detailed_exitcode: bool, parallel: int, output: str) -> None:
    """Show what is not as it was left, and who changed it where that is known. Changes nothing."""
    with session(estate, limits, parallel=parallel, refresh=True) as it:
        found = drifted(it.plan())
        click.echo(view.render(found, output))
    if not detailed_exitcode:
        return
    if any(change.drift for change in found.changes):
        raise SystemExit(2)
    if found.summary()["hold"]:
        raise SystemExit(3)
