"""`orchestrator output`: what placements tell the world."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import estate_option, output_option, scope_options
from orchestrator.cli.session import Limits, session
from orchestrator.cli.views import outputs as view


@click.command()
@estate_option
@scope_options
@output_option("table", "json")
def output(estate: Path | None, limits: Limits, output: str) -> None:
    """Show the outputs of placements, as they are now; secrets are masked."""
    with session(estate, limits) as it:
        found = it.look().desired.outputs
        kept = {
            key: value for key, value in found.items() if it.scope.placements is None or key[1] in it.scope.placements
        }
        click.echo(view.render(kept, output))
