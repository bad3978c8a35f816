"""`orchestrator show`: one run, step by step, or the full log of one of its steps."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import click

from orchestrator.cli.options import estate_option, output_option
from orchestrator.cli.session import stored
from orchestrator.cli.views import history as view
from orchestrator.errors import UsageError
from orchestrator.model.address import Address
from orchestrator.model.history import RunRow
from orchestrator.state import Store


@click.command()
@click.argument("run", type=click.IntRange(1))
@click.option("--log", "address", help="The full log of this address' step.")
@click.option("--state", help="The state that this run left of a Pulumi program's stack, by its address.")
@estate_option
@output_option("table", "json")
def show(run: int, address: str | None, state: str | None, estate: Path | None, output: str) -> None:
    """Show a run step by step; with --log ADDRESS the full log of one step; with --state ADDRESS a stack's state."""
    with stored(estate) as store:
        if state is not None:
            click.echo(_state(store, store.run(run), state))
            return
        if address is None:
            click.echo(view.render_run(store.run(run), output))
            return
        log = store.log(run, address)
    if log is None:
        raise UsageError(f"run {run} has no log of {address}", hint=f"orchestrator show {run} lists its steps")
    click.echo(log)


def _state(store: Store, run: RunRow, address: str) -> str:
    """The last state of a stack that was kept in a run, as Pulumi has it: what is secret in it is encrypted."""
    try:
        key = str(Address.parse(address).workload_key)
    except ValueError as error:
        raise UsageError(str(error), hint=f"orchestrator show {run.run} lists its steps") from None
    until = math.inf if run.ended is None else run.ended
    rows = store.states(key, run.started, until)
    content = store.state(rows[0].number) if rows else None
    if content is None:
        raise UsageError(f"run {run.run} kept no state of {address}", hint="orchestrator history --states lists them")
    return gzip.decompress(content).decode()
