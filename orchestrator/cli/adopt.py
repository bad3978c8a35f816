"""`orchestrator adopt`: take over something that exists and was never ours, or all that a workload finds so."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.addresses import parse_address
from orchestrator.cli.apply import converge
from orchestrator.cli.options import estate_option, output_option, yes_option
from orchestrator.cli.session import Limits, Session, session
from orchestrator.model.address import Address
from orchestrator.model.change import Action
from orchestrator.model.observation import Present

_WORKLOAD_PARTS = 4  # site, placement, mode, workload


@click.command()
@click.argument("address")
@estate_option
@yes_option
@output_option("table", "json")
def adopt(address: str, estate: Path | None, yes: bool, output: str) -> None:
    """Take over what stands at ADDRESS: show whose it is and what would change, ask, stamp it and make it as declared.

    The ADDRESS of a workload (SITE/PLACEMENT/agile/WORKLOAD) takes over everything of it that is not ours.
    """
    with session(estate, Limits(targets=(address,))) as it:
        adopting = _meant(address, it)
        shown = it.plan(adopting=adopting)
        code = converge(
            it, shown, yes=yes, output=output, kind="adopt", planner=lambda scope: it.plan(scope, adopting=adopting)
        )
    raise SystemExit(code)


def _meant(address: str, it: Session) -> frozenset[Address]:
    """The unit, or a workload's units that are there and not ours."""
    if address.strip("/").count("/") != _WORKLOAD_PARTS - 1:
        return frozenset({parse_address(address)})
    return frozenset(
        change.address
        for change in it.plan().changes
        if change.action == Action.CONFLICT and isinstance(change.seen, Present)
    )
