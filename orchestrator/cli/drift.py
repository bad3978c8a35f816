"""`orchestrator drift`: what is not as it was left."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

from orchestrator.cli.deep import checked
from orchestrator.cli.options import estate_option, every_option, output_option, parallel_option, scope_options
from orchestrator.cli.session import Limits, Session, session
from orchestrator.cli.views import drift as view
from orchestrator.cli.views import drift_events
from orchestrator.cli.views.text import counted
from orchestrator.errors import UsageError
from orchestrator.execution.lookout import Lookout
from orchestrator.execution.stop import Stop, stop_on_signals
from orchestrator.model.address import Address
from orchestrator.model.change import Change, Plan
from orchestrator.planning import drifted


@click.command()
@estate_option
@scope_options
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 2 where something drifted, 3 where units could not be seen."
)
@click.option(
    "--deep",
    is_flag=True,
    help="Ask Ansible's check mode about tasks, and providers about programs, that cannot be verified otherwise.",
)
@click.option("--watch", is_flag=True, help="Go on, and show what drifts and what is healed as it happens.")
@every_option("With --watch, how often to look at what cannot be watched")
@parallel_option
@output_option("table", "json", "name")
def drift(
    estate: Path | None,
    limits: Limits,
    detailed_exitcode: bool,
    deep: bool,
    watch: bool,
    every: float,
    parallel: int,
    output: str,
) -> None:
    """Show what is not as it was left, and who changed it where that is known. Changes nothing.

    With --watch a change on Kubernetes is shown at once, one on machines when they are looked at; Ctrl-C ends it.
    """
    if watch:
        if output == "name" or detailed_exitcode or deep:
            wrong = "-o name" if output == "name" else "--deep" if deep else "--detailed-exitcode"
            hint = "-o json has one object a line" if wrong == "-o name" else f"look without --watch: drift {wrong}"
            raise UsageError(f"--watch has no {wrong}", hint=hint)
        with session(estate, limits, parallel=parallel, refresh=True) as it:
            _watch(it, every, output)
        return
    if click.get_current_context().get_parameter_source("every") == click.core.ParameterSource.COMMANDLINE:
        raise UsageError("--every goes with --watch", hint="without it everything is looked at once")
    with session(estate, limits, parallel=parallel, refresh=True) as it:
        plain = it.plan()
        whole = checked(it, plain) if deep else plain
        found = drifted(whole)
        click.echo(view.render(found, output, whole))
        _tell_how_to_mend(plain, whole)
    if not detailed_exitcode:
        return
    if any(change.drift for change in found.changes):
        raise SystemExit(2)
    if found.summary()["hold"]:
        raise SystemExit(3)


def _tell_how_to_mend(plain: Plan, whole: Plan) -> None:
    """What only a closer look finds is in no plan."""
    closer = [now for was, now in zip(plain.changes, whole.changes, strict=True) if now.drift and not was.drift]
    if closer:
        again = " ".join(f"--again {change.address}" for change in closer)
        click.echo(f"No plan sees what only --deep finds. To mend it: orchestrator apply {again}", err=True)


def _watch(it: Session, every: float, output: str) -> None:
    """Look, tell what is new, and wait for the next reason to look, until somebody ends it."""
    stop = Stop()
    lookout = Lookout(it.world, every)
    it = replace(it, world=lookout.world)
    known: Mapping[Address, Change] | None = None
    with stop_on_signals(stop, lambda text: None):
        while not stop.asked:
            found = drifted(it.plan())
            now = drift_events.standing(found)
            for line in drift_events.lines(drift_events.events(known or {}, now), output, time.time()):
                click.echo(line)
            if known is None:
                everywhere = lookout.begin()
                click.echo(_watching(found, every, everywhere=everywhere), err=True)
            known = now
            lookout.wait(stop)


def _watching(found: Plan, every: float, *, everywhere: bool) -> str:
    at = "" if everywhere else f"; what cannot be watched is looked at every {every:g} s"
    return f"Watching {counted(found.tally.units, 'unit')}{at}. Ctrl-C ends it."
