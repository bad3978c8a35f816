"""`orchestrator forget`: let go of a unit, which stays as it is."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator import planning
from orchestrator.cli.addresses import parse_address
from orchestrator.cli.apply import converge
from orchestrator.cli.options import estate_option, output_option, yes_option
from orchestrator.cli.session import Limits, session
from orchestrator.model.change import Plan, Scope


@click.command()
@click.argument("address")
@estate_option
@yes_option
@output_option("table", "json")
def forget(address: str, estate: Path | None, yes: bool, output: str) -> None:
    """Let go of the unit at ADDRESS: our stamp and record end, the thing itself stays.

    A unit that is still declared will be a conflict from then on, until it is adopted or removed from the documents.
    """
    unit = parse_address(address)
    with session(estate, Limits(targets=(str(unit),))) as it:

        def planner(scope: Scope) -> Plan:
            name = it.loaded.estate.model.metadata.name
            return planning.forgetting(it.look(scope), unit, estate=name, estate_id=it.estate_id)

        code = converge(it, planner(it.scope), yes=yes, output=output, kind="forget", planner=planner)
    raise SystemExit(code)
