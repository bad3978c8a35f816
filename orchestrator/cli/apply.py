"""`orchestrator apply`: show the plan, ask, and make it so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click

from orchestrator.cli.options import (
    again_option,
    estate_option,
    output_option,
    parallel_option,
    scope_options,
    yes_option,
)
from orchestrator.cli.pinning import end_outdated
from orchestrator.cli.running import DONE, FAILED, IN_PART, carry_out, make_view
from orchestrator.cli.session import Limits, Session, session
from orchestrator.cli.show_plan import confirm, print_plan, warn
from orchestrator.cli.views.apply import ApplyView, RunSummary
from orchestrator.errors import StalePlanError, UsageError
from orchestrator.execution.snapshots import refuse_without_snapshots, unfinished
from orchestrator.model.change import Plan, Scope
from orchestrator.planning import saved


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@estate_option
@scope_options
@again_option
@yes_option
@parallel_option
@output_option("table", "json")
def apply(file: Path | None, estate: Path | None, limits: Limits, yes: bool, parallel: int, output: str) -> None:
    """Show the plan, ask, and make the changes.

    FILE is a plan saved by `orchestrator plan --out FILE`: it is applied without asking, and refused where what it
    was computed from has moved.
    """
    if file is not None and limits != Limits():
        raise UsageError(
            "a saved plan has its own limits", hint="leave out --site, --placement, --mode, --target and --again"
        )
    with session(estate, limits, parallel=parallel) as it:
        stored = _read(file) if file else None
        shown = it.plan() if stored is None else it.plan(saved.scope(stored))
        if stored is not None:
            saved.check_fresh(stored, shown)
        code = converge(it, shown, yes=yes or stored is not None, output=output, kind="apply")
    raise SystemExit(code)


def converge(
    it: Session,
    shown: Plan,
    *,
    yes: bool,
    output: str,
    kind: str,
    planner: Callable[[Scope], Plan] | None = None,
    agreed: Callable[[], None] = lambda: None,
) -> int:
    """Show a plan, ask, and run it, planning again with `planner` before each wave; the exit code.

    `agreed` is called once nothing forbids going on, before anything is changed. Raises PlanError where machines are
    to be kept before and cannot.
    """
    refuse_without_snapshots(shown, it.world)
    view = make_view(output)
    if output == "json":
        view.started(shown)
    else:
        print_plan(shown, output)
        warn(it.loaded.diagnostics)
    counts = shown.summary()
    if not shown.acting and not unfinished(shown, it.world):
        agreed()
        end_outdated(it.loaded, it.world.store, {change.address.placement for change in shown.changes})
        return _nothing(view, shown, FAILED if counts["conflict"] else IN_PART if counts["hold"] else DONE, output)
    if not yes and not confirm(shown):
        click.echo("Nothing was changed.", err=True)
        return _nothing(view, shown, FAILED, output)
    agreed()
    return carry_out(it, shown, view, kind=kind, planner=planner).exit_code


def _nothing(view: ApplyView, shown: Plan, code: int, output: str) -> int:
    """No run was needed, or wanted: programs still get their last event."""
    if output == "json":
        view.finished(RunSummary(run=0, counts={}, seconds=0.0, stopped="", exit_code=code, tally=shown.tally))
    return code


def _read(file: Path) -> dict[str, object]:
    try:
        data = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise StalePlanError(
            f"{file} is not a saved plan: {error}", hint="make one: orchestrator plan --out FILE"
        ) from None
    if not isinstance(data, dict):
        raise StalePlanError(f"{file} is not a saved plan", hint="make one: orchestrator plan --out FILE")
    return data
