"""`orchestrator history`: the runs, newest first."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import estate_option, output_option
from orchestrator.cli.session import stored
from orchestrator.cli.views import history as view
from orchestrator.cli.views import states as states_view


@click.command()
@estate_option
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@click.option("--states", is_flag=True, help="The states of Pulumi programs' stacks that are kept, instead of runs.")
@output_option("table", "json")
def history(estate: Path | None, limit: int, states: bool, output: str) -> None:
    """Show the runs, newest first."""
    with stored(estate) as store:
        if states:
            click.echo(states_view.render(store.states()[:limit], output))
        else:
            click.echo(view.render_runs(store.runs(limit), output))
