"""The loop: every so often, and as soon as something at it has changed, each site is planned and applied by itself.

What the documents ask for is applied in both modes. Drift is healed in the agile mode and only reported in the
stable one. A site's trouble is told and tried again the next time; it is never another site's.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from orchestrator.errors import OrchestratorError
from orchestrator.execution.stop import Stop
from orchestrator.model.address import Mode
from orchestrator.model.change import Action, Change, Plan
from orchestrator.reconciler.bell import Bell

_BEAT = 0.1  # seconds after which a bell, or a wish to stop, is noticed


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


def reconcile(
    cycle: Cycle, *, every: float, parallel: int, stop: Stop, once: bool = False, bell: Bell | None = None
) -> None:
    """Do all sites, again and again, until `stop` is asked for: `every` seconds apart, and when `bell` rings for them.

    A site that takes longer is left to finish: the others have their turns meanwhile.
    """
    bell = bell or Bell(every)
    running: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(max_workers=parallel) as pool:

        def begin(site: str) -> bool:
            if site in running and not running[site].done():
                return False
            running[site] = pool.submit(_one, cycle, site, stop, bell)
            return True

        while not stop.asked:
            names, until = _sites(cycle), time.monotonic() + every
            for name in names:
                begin(name)
            if once:
                break
            while not stop.asked and (left := until - time.monotonic()) > 0:
                for name in bell.due():
                    if name in names and not begin(name):
                        bell.ring(name)
                stop.wait(min(left, _BEAT))
                for ended in [future for future in running.values() if future.done()]:
                    ended.result()  # raises what is no trouble of a site, but a fault of ours
        for future in running.values():
            future.result()


def _sites(cycle: Cycle) -> list[str]:
    try:
        return sorted(cycle.sites())
    except OrchestratorError as error:
        cycle.trouble("", error)
        return []


def _one(cycle: Cycle, site: str, stop: Stop, bell: Bell) -> None:
    if stop.asked:
        return
    changed = False
    try:
        with cycle.visit(site) as visit:
            plan, held_back = healing(visit.plan())
            visit.tell(plan, held_back)
            if plan.acting:
                changed = True
                visit.apply(plan)
    except OrchestratorError as error:
        cycle.trouble(site, error)
    finally:
        bell.visited(site, changed=changed)
