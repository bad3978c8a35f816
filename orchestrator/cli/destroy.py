"""`orchestrator destroy`: remove what was made, in reverse order."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from orchestrator import planning
from orchestrator.cli.apply import converge
from orchestrator.cli.options import estate_option, output_option, parallel_option, scope_options
from orchestrator.cli.pinning import pinned
from orchestrator.cli.places import with_vanished_sites
from orchestrator.cli.session import Limits, Session, session
from orchestrator.documents.loaded import Loaded
from orchestrator.errors import UsageError
from orchestrator.model.change import Plan, Scope
from orchestrator.state import Store


@click.command()
@estate_option
@scope_options
@click.option("--yes", is_flag=True, help="Do not ask for the name.")
@parallel_option
@output_option("table", "json")
def destroy(estate: Path | None, limits: Limits, yes: bool, parallel: int, output: str) -> None:
    """Remove everything in scope, in reverse order: objects, configurations that say how, machines that were made.

    Asks for the estate's name, or for the one site's. Also cleans up a site whose document is gone: --site name=SITE.
    """
    with session(estate, limits, parallel=parallel, amend=_amended) as it:

        def planner(scope: Scope) -> Plan:
            return planning.destroy(it.plan(scope), removable=it.removable)

        shown = planner(it.scope)
        agreed = yes or not shown.acting or _asked(it, shown, output)
        code = converge(it, shown, yes=agreed, output=output, kind="destroy", planner=planner)
    raise SystemExit(code)


def _amended(loaded: Loaded, store: Store) -> Loaded:
    return with_vanished_sites(pinned(loaded, store), store)


def _asked(it: Session, shown: Plan, output: str) -> bool:
    """Ask for the name of what is destroyed; the plan is shown by then."""
    sites = it.scope.sites or frozenset()
    name = next(iter(sites)) if len(sites) == 1 else it.loaded.estate.model.metadata.name
    count = len(shown.acting)
    if not sys.stdin.isatty():
        raise UsageError("nobody can answer here", hint="give --yes to destroy without asking")
    typed = click.prompt(f"Destroy {count} units? Type `{name}` to go on", default="", show_default=False, err=True)
    if typed != name:
        raise UsageError("that is another name; nothing was changed")
    return True
