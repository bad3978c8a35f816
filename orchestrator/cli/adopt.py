"""`orchestrator adopt`: take over something that exists and was never ours."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.addresses import parse_address
from orchestrator.cli.apply import converge
from orchestrator.cli.options import estate_option, output_option, yes_option
from orchestrator.cli.session import Limits, session


@click.command()
@click.argument("address")
@estate_option
@yes_option
@output_option("table", "json")
def adopt(address: str, estate: Path | None, yes: bool, output: str) -> None:
    """Take over what stands at ADDRESS: show what would change, ask, stamp it and make it as declared."""
    unit = parse_address(address)
    with session(estate, Limits(targets=(str(unit),))) as it:
        adopting = frozenset({unit})
        shown = it.plan(adopting=adopting)
        code = converge(
            it, shown, yes=yes, output=output, kind="adopt", planner=lambda scope: it.plan(scope, adopting=adopting)
        )
    raise SystemExit(code)
