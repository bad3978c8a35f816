"""The loop in its thin form: every so often each site is planned and applied by itself.

What the documents ask for is applied in both modes. Drift is healed in the agile mode and only reported in the
stable one. A site's trouble is told and tried again the next time; it is never another site's.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from orchestrator.errors import OrchestratorError
from orchestrator.execution.stop import Stop
from orchestrator.model.address import Mode
from orchestrator.model.change import Action, Change, Plan


class Visit(Protocol):
    """One site, its documents and drivers read afresh."""

    def plan(self) -> Plan:
        """What the site needs."""

    def tell(self, plan: Plan, held_back: tuple[Change, ...]) -> None:
        """What was found, and which changes are only reported."""

    def apply(self, plan: Plan) -> None:
        """Make the plan's changes, and tell how it went."""


class Cycle(Protocol):
    """What the loop needs from the composition root."""

    def sites(self) -> Iterable[str]:
        """The sites to go round, as the documents are now."""

    def visit(self, site: str) -> AbstractContextManager[Visit]:
        """Open one site."""

    def trouble(self, site: str, error: OrchestratorError) -> None:
        """A site, or the documents as a whole (site ""), could not be done this time."""


def healing(plan: Plan) -> tuple[Plan, tuple[Change, ...]]:
    """The plan without what is only reported, and that."""

    def reported(change: Change) -> bool:
        return change.drift and change.address.mode == Mode.STABLE and change.action.acts

    held_back = tuple(change for change in plan.changes if reported(change))
    kept = tuple(
        replace(change, action=Action.HOLD, wave=0, reason=f"{change.reason} (reported only)")
        if reported(change)
        else change
        for change in plan.changes
    )
    return replace(plan, changes=kept), held_back


def reconcile(cycle: Cycle, *, every: float, parallel: int, stop: Stop, once: bool = False) -> None:
    """Do all sites, again and again, `every` seconds apart, until `stop` is asked for."""
    while not stop.asked:
        names = _sites(cycle)
        with ThreadPoolExecutor(max_workers=max(1, min(parallel, len(names) or 1))) as pool:
            list(pool.map(lambda site: _one(cycle, site, stop), names))
        if once or stop.wait(every):
            return


def _sites(cycle: Cycle) -> list[str]:
    try:
        return sorted(cycle.sites())
    except OrchestratorError as error:
        cycle.trouble("", error)
        return []


def _one(cycle: Cycle, site: str, stop: Stop) -> None:
    if stop.asked:
        return
    try:
        with cycle.visit(site) as visit:
            plan, held_back = healing(visit.plan())
            visit.tell(plan, held_back)
            if plan.acting:
                visit.apply(plan)
    except OrchestratorError as error:
        cycle.trouble(site, error)
