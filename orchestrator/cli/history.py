"""`orchestrator history`: the runs, newest first."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import estate_option, output_option
from orchestrator.cli.session import stored
from orchestrator.cli.views import history as view


@click.command()
@estate_option
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many runs.")
@output_option("table", "json")
def history(estate: Path | None, limit: int, output: str) -> None:
    """Show the runs, newest first."""
    with stored(estate) as store:
        click.echo(view.render_runs(store.runs(limit), output))
