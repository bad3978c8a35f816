"""The driver of a target that cannot be reached at all, for a cause that is known before asking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from orchestrator.model.change import Change
from orchestrator.model.observation import Observed, Tally, Unreachable
from orchestrator.model.outcome import Lease, Outcome, Report, Result
from orchestrator.model.record import Record
from orchestrator.model.unit import Unit
from orchestrator.modes.driver import NoSnapshots


class UnreachableDriver(NoSnapshots):
    """Answers everything with one cause, as a lab that is not running."""

    def __init__(self, why: str) -> None:
        self._why = why

    def observe(self, units: Sequence[Unit], known: Sequence[Record]) -> Observed:
        """Nothing can be seen."""
        seen = Unreachable(self._why, cause=self._why)
        return Observed(dict.fromkeys([u.address for u in units] + [r.address for r in known], seen))

    def watch(self, changed: Callable[[], None]) -> bool:
        """There is nothing to watch."""
        return False

    def prepare(self, changes: Sequence[Change]) -> None:
        """There is nothing to load."""

    def apply(self, changes: Sequence[Change], report: Report) -> Iterator[Outcome]:
        """Nothing can be done."""
        for change in changes:
            yield Outcome(change.address, Result.UNREACHABLE, self._why)

    def take(self, lease: Lease) -> Lease | None:
        """There is nothing to put a lease on."""
        return None

    def release(self, lease: Lease) -> None:
        """There is no lease."""

    def unlock(self) -> None:
        """There is no lease."""

    def spent(self) -> Tally:
        """Nothing."""
        return Tally()

    def close(self) -> None:
        """Nothing runs."""
