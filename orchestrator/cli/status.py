"""`orchestrator status`: how everything is, site by site."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import estate_option, output_option, parallel_option, scope_options
from orchestrator.cli.session import Limits, session
from orchestrator.cli.views import status as view


@click.command()
@estate_option
@scope_options
@parallel_option
@output_option("table", "json")
def status(estate: Path | None, limits: Limits, parallel: int, output: str) -> None:
    """Show how everything is, site by site. Reads the targets, changes nothing."""
    with session(estate, limits, parallel=parallel) as it:
        plan = it.plan()
        found = view.rows(plan, it.world.store.last_runs(), it.world.clock())
        click.echo(view.render(found, output, [pin.row for pin in it.loaded.pins]))
