"""Carrying out a plan for a person: what `apply`, `adopt`, `forget`, `destroy` and `reconcile` have in common."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import click

from orchestrator.cli.pinning import end_outdated
from orchestrator.cli.session import Session
from orchestrator.cli.views.apply import ApplyView, JsonView, PlainView, Printer, RunSummary
from orchestrator.execution.engine import RunResult, execute
from orchestrator.execution.stop import Stop, stop_on_signals
from orchestrator.model.change import Plan, Scope
from orchestrator.model.outcome import Result

DONE, FAILED, IN_PART, INTERRUPTED = 0, 1, 3, 130


def make_view(output: str) -> ApplyView:
    """The form for `-o`: JSON lines for `json`; else live where stdout is a terminal, plain lines where it is not."""
    if output == "json":
        return JsonView(sys.stdout)
    capable = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    colour = capable and not os.environ.get("NO_COLOR")
    if capable:
        from orchestrator.cli.views.live import LiveView

        return LiveView(colour=colour)
    return PlainView(Printer(sys.stdout), colour=colour)


def carry_out(
    it: Session,
    shown: Plan,
    view: ApplyView,
    *,
    kind: str,
    planner: Callable[[Scope], Plan] | None = None,
    stop: Stop | None = None,
) -> RunSummary:
    """Run a plan that was shown, telling the view; without `stop`, signals end it in good order."""
    started = time.monotonic()
    _end_interrupted(it)
    end_outdated(it.loaded, it.world.store, {change.address.placement for change in shown.changes})

    def go(stop: Stop) -> RunResult:
        return execute(it.world, shown, planner or it.plan, view, kind=kind, stop=stop, revert=it.revert)

    if stop is None:
        stop = Stop()
        with stop_on_signals(stop, lambda text: click.echo(text, err=True)):
            result = go(stop)
    else:
        result = go(stop)
    summary = RunSummary(
        run=result.run,
        counts=counts(result, shown),
        seconds=time.monotonic() - started,
        stopped="interrupted" if stop.asked else "; ".join(f"{site}: {why}" for site, why in result.stopped.items()),
        exit_code=exit_code(result, shown, stop),
        tally=result.tally,
        sites=frozenset(change.address.site for change in shown.changes),
    )
    view.finished(summary)
    return summary


def _end_interrupted(it: Session) -> None:
    """Say which earlier runs were killed, and close their books: this one goes on from what is there."""
    for run in it.world.store.unfinished():
        click.echo(f"Run {run.run} was interrupted; this one goes on from what is there.", err=True)
        it.world.store.end_run(run.run, "interrupted", run.counts or {})


def counts(result: RunResult, shown: Plan) -> dict[Result, int]:
    """How many steps ended which way, with what the plan itself held."""
    found = result.counts()
    if held := shown.summary()["hold"]:
        found[Result.HELD] = found.get(Result.HELD, 0) + held
    return found


def exit_code(result: RunResult, shown: Plan, stop: Stop) -> int:
    """How a run ends for whoever called: failures before what was held, and a wish to stop before both."""
    if stop.asked:
        return INTERRUPTED
    planned = shown.summary()
    if result.failed() or planned["conflict"]:
        return FAILED
    held = any(outcome.result in (Result.HELD, Result.UNREACHABLE) for outcome in result.outcomes.values())
    return IN_PART if held or planned["hold"] else DONE
