"""Between batches: a next one begins only where the one before has ended well enough."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from orchestrator.model.address import Address, Mode, WorkloadKey
from orchestrator.model.change import Change, Plan
from orchestrator.model.outcome import Outcome, Result
from orchestrator.model.rollout import Rollout

_PAUSE_S = 0.5  # how soon a wish to stop is seen by a site that waits for others
_FAILURES = (Result.FAILED, Result.INTERRUPTED, Result.HELD)


@dataclass(frozen=True, slots=True)
class Toll:
    """What went wrong so far: members (machines, sites) that failed, and those that stopped answering."""

    failed: Collection[str]
    lost: Collection[str]

    def why_closed(self, rollout: Rollout, total: int, what: str) -> str:
        """Why no further batch is begun; "" where it is. Lost ones are counted apart, by the same limit."""
        limit = rollout.max_failures
        if len(self.failed) <= limit and len(self.lost) <= limit:
            return ""
        counted = ((self.failed, "failed"), (self.lost, "stopped answering while they were changed"))
        told = [f"{len(names)} of {total} {what} {word} ({_few(names)})" for names, word in counted if names]
        return f"not started: {' and '.join(told)}; maxFailures is {limit}"


def toll_of_machines(outcomes: Mapping[Address, Outcome], workload: WorkloadKey) -> Toll:
    """What went wrong with a workload's machines at its site. Those held from the start were not tried."""
    tried = {a: o.result for a, o in dict(outcomes).items() if a.workload_key == workload}
    failed = {a.name for a, result in tried.items() if result in (Result.FAILED, Result.INTERRUPTED)}
    lost = {a.name for a, result in tried.items() if result == Result.UNREACHABLE}
    return Toll(failed, lost - failed)


def _few(names: Iterable[str], most: int = 4) -> str:
    listed = sorted(names)
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "")


class SiteGates:
    """Batches over sites: what each site's thread asks before it changes agile workloads, and tells after it."""

    def __init__(self, shown: Plan) -> None:
        self._rollouts = shown.rollouts
        self._batches = {
            (change.address.placement, change.address.site): change.batch.number
            for change in shown.acting
            if change.batch is not None and change.address.mode == Mode.AGILE
        }
        self._ended: dict[tuple[str, str], Result] = {}
        self._changed = threading.Condition()

    def waits(self, change: Change) -> bool:
        """Whether sites of earlier batches are still under way."""
        with self._changed:
            return any(before not in self._ended for before in self._before(change))

    def why_closed(self, change: Change) -> str:
        """Why a change is not begun at all; "" where it may be."""
        placement = change.address.placement
        with self._changed:
            before = {site: self._ended.get((of, site)) for of, site in self._before(change)}
        failed = [site for site, result in before.items() if result == Result.FAILED]
        lost = [site for site, result in before.items() if result == Result.UNREACHABLE]
        if not failed and not lost:
            return ""
        rollout = self._rollouts[placement, Mode.AGILE]
        return Toll(failed, lost).why_closed(rollout, len(rollout.sites), "sites")

    def end(self, site: str, outcomes: Mapping[Address, Outcome], *, left: Iterable[Change], broken: bool) -> None:
        """Tell how a site's placements have ended that have nothing left to do there; all of them where it is broken.

        `broken` is a site whose run has stopped: nobody knows how what is left would have ended.
        """
        busy = {change.address.placement for change in left if change.address.mode == Mode.AGILE}
        with self._changed:
            for placement, at in self._batches:
                if at == site and (placement, at) not in self._ended and (broken or placement not in busy):
                    result = Result.FAILED if placement in busy else _worst(site, placement, outcomes)
                    self._ended[placement, at] = result
            self._changed.notify_all()

    def wait(self) -> None:
        """Until some site has ended, or a moment has passed."""
        with self._changed:
            self._changed.wait(_PAUSE_S)

    def _before(self, change: Change) -> list[tuple[str, str]]:
        """The placement at the sites of earlier batches."""
        a = change.address
        own = self._batches.get((a.placement, a.site)) if a.mode == Mode.AGILE else None
        if own is None:
            return []
        return [key for key, number in self._batches.items() if key[0] == a.placement and number < own]


def _worst(site: str, placement: str, outcomes: Mapping[Address, Outcome]) -> Result:
    results = {
        outcome.result
        for a, outcome in dict(outcomes).items()  # other threads add to it
        if (a.site, a.placement, a.mode) == (site, placement, Mode.AGILE)
    }
    if results & set(_FAILURES):
        return Result.FAILED
    return Result.UNREACHABLE if Result.UNREACHABLE in results else Result.DONE
