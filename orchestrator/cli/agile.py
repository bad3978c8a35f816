"""`orchestrator agile`: what is only of the agile mode."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import estate_option
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.cli.session import Session
    from orchestrator.execution.look import Sight
    from orchestrator.model.address import Address


@click.group()
def agile() -> None:
    """What is only of the agile mode: the Pulumi stacks of programs."""


@agile.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("workload", metavar="PLACEMENT/WORKLOAD")
@click.argument("arguments", nargs=-1, metavar="-- ARGS...", type=click.UNPROCESSED)
@click.option("--site", help="Where; needed if the placement is at several sites.")
@estate_option
def stack(workload: str, arguments: tuple[str, ...], site: str | None, estate: Path | None) -> None:
    """Hand over to the pulumi program, with the stack of a program selected and its environment set.

    The site is leased meanwhile. What pulumi leaves as the stack's state is kept as after an apply, and the next plan
    says what of it is not as declared. For example: orchestrator agile stack shop/queue -- stack export
    """
    from orchestrator.cli.session import Limits, session

    placement, _, name = workload.partition("/")
    if not placement or not name or "/" in name:
        raise UsageError(f"`{workload}` is not PLACEMENT/WORKLOAD", hint="as in: orchestrator agile stack shop/queue")
    limits = Limits(site=f"name={site}" if site else None, placements=(placement,), mode="agile")
    with session(estate, limits) as it:
        sight = it.look()
        address = _program(sight, placement, name)
        given = arguments[1:] if arguments[:1] == ("--",) else arguments
        code = _hand_over(it, sight, address, given or ("stack",))
    raise SystemExit(code)


def _program(sight: Sight, placement: str, name: str) -> Address:
    """The one program that is meant. Raises UsageError where there is none, or several."""
    from orchestrator.model.address import PROGRAM

    known = {*(unit.address for unit in sight.desired.units), *sight.observed}
    programs = sorted(a for a in known if a.kind == PROGRAM)
    found = [a for a in programs if (a.placement, a.workload) == (placement, name)]
    if len(found) == 1:
        return found[0]
    if found:
        sites = ", ".join(a.site for a in found)
        raise UsageError(f"{placement}/{name} is at several sites", hint=f"give --site; it is at {sites}")
    others = ", ".join(dict.fromkeys(f"{a.placement}/{a.workload}" for a in programs)) or "none"
    raise UsageError(f"there is no Pulumi program {placement}/{name} here", hint=f"there are: {others}")


def _hand_over(it: Session, sight: Sight, address: Address, arguments: tuple[str, ...]) -> int:
    """Journaled as a run of its own, with the site's lease."""
    from orchestrator.execution.leases import held_leases
    from orchestrator.model.address import Mode
    from orchestrator.model.change import Action, Change, Plan
    from orchestrator.model.outcome import Outcome, Result
    from orchestrator.modes.agile.driver import AgileDriver

    driver = it.world.drivers[address.site, Mode.AGILE]
    if not isinstance(driver, AgileDriver):
        raise UsageError(f"the cluster of site {address.site} cannot be reached", hint="its state is kept there")
    unit = next((unit for unit in sight.desired.units if unit.address == address), None)
    change = Change(address, Action.UPDATE, f"by hand: pulumi {' '.join(arguments)}", unit=unit, wave=1)
    metadata = it.loaded.estate.model.metadata
    store = it.world.store
    run = store.begin_run("stack", Plan(metadata.name, metadata.id, (change,)), it.world.holder)
    verdict = "failed"
    try:
        with held_leases(it.world, [address.site], run) as leases:
            step = store.intend(run, change, leases[address.site])
            code = driver.hand_over(address, unit, arguments)
            result = Result.DONE if code == 0 else Result.FAILED
            store.finish(step, Outcome(address, result, f"pulumi ended with {code}"), leases[address.site])
            verdict = "done" if code == 0 else "failed"
    finally:
        store.end_run(run, verdict, {"done" if verdict == "done" else "failed": 1})
    return code
