"""`orchestrator plan`: what an apply would do, and why."""

from __future__ import annotations

import json
from pathlib import Path

import click

from orchestrator.cli.options import again_option, estate_option, output_option, parallel_option, scope_options
from orchestrator.cli.session import Limits, session
from orchestrator.cli.show_plan import print_plan, warn
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.execution.snapshots import refuse_without_snapshots
from orchestrator.model.change import Plan
from orchestrator.planning import saved


@click.command()
@estate_option
@scope_options
@again_option
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Save the plan for `orchestrator apply FILE`."
)
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 2 where there are differences, 3 where units are held."
)
@parallel_option
@output_option("table", "json", "yaml")
def plan(
    estate: Path | None,
    limits: Limits,
    out: Path | None,
    detailed_exitcode: bool,
    parallel: int,
    output: str,
) -> None:
    """Show what would be changed, unit by unit, each with its reason. Changes nothing."""
    if out is not None and not out.parent.is_dir():
        raise UsageError(f"there is no folder {out.parent}", hint="make it, or name another file with --out")
    with session(estate, limits, parallel=parallel) as it:
        made = it.plan()
        refuse_without_snapshots(made, it.world)
        print_plan(made, output)
        warn(it.loaded.diagnostics)
        if out is not None:
            _write(out, json.dumps(saved.save(made), indent=1))
    if code := exit_code(made, detailed=detailed_exitcode):
        raise SystemExit(code)


def exit_code(made: Plan, *, detailed: bool) -> int:
    """How a plan ends for whoever called: what is refused before differences, those before what is held."""
    summary = made.summary()
    if summary["conflict"]:
        return 1
    if detailed and made.acting:
        return 2
    return 3 if detailed and summary["hold"] else 0


def _write(path: Path, text: str) -> None:
    """For the owner's eyes only: a plan names hosts and values."""
    try:
        path.touch(mode=0o600, exist_ok=True)
        path.chmod(0o600)
        path.write_text(text + "\n")
    except OSError as error:
        raise OrchestratorError(
            f"the plan cannot be saved: {path}: {error.strerror}", hint="name another file with --out"
        ) from None
