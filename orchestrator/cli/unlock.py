"""`orchestrator unlock`: take a lease from a holder that is known to be dead."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from orchestrator.cli.options import estate_option, yes_option
from orchestrator.cli.session import Limits, session
from orchestrator.errors import UsageError
from orchestrator.holders import shown


@click.command()
@click.argument("site")
@estate_option
@yes_option
def unlock(site: str, estate: Path | None, yes: bool) -> None:
    """Take SITE's lease away from its holder, in the store and on the targets.

    Only where you know that the holder is dead: two applies at once can undo each other.
    """
    with session(estate, Limits(site=f"name={site}")) as it:
        held = it.world.store.lease(site)
        who = shown(held.holder) if held else "whoever holds it on the targets"
        if not yes and not (sys.stdin.isatty() and click.confirm(f"Take the lease of {site} from {who}?", err=True)):
            raise UsageError(
                f"{site} is held by {who}; nothing was unlocked", hint="give --yes where nobody can answer"
            )
        it.world.store.unlock(site)
        it.look()  # a host is asked only where it answers
        for (name, _), driver in it.world.drivers.items():
            if name == site:
                driver.unlock()
    click.echo(f"{site} is unlocked.")
