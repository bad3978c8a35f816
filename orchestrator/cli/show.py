"""`orchestrator show`: one run, step by step, or the full log of one of its steps."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import estate_option, output_option
from orchestrator.cli.session import stored
from orchestrator.cli.views import history as view
from orchestrator.errors import UsageError


@click.command()
@click.argument("run", type=click.IntRange(1))
@click.option("--log", "address", help="The full log of this address' step.")
@estate_option
@output_option("table", "json")
def show(run: int, address: str | None, estate: Path | None, output: str) -> None:
    """Show a run step by step; with --log ADDRESS the full log of one step."""
    with stored(estate) as store:
        if address is None:
            click.echo(view.render_run(store.run(run), output))
            return
        log = store.log(run, address)
    if log is None:
        raise UsageError(f"run {run} has no log of {address}", hint=f"orchestrator show {run} lists its steps")
    click.echo(log)
