"""The port behind which each mode stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from orchestrator.model.change import Change
from orchestrator.model.observation import Observed, Tally
from orchestrator.model.outcome import Lease, Outcome, Report
from orchestrator.model.record import Record
from orchestrator.model.unit import Unit


class Driver(Protocol):
    """One mode at one site. Raises DriverError only for its own faults; a target's faults are values.

    Calls for different workloads may come from several threads at once.
    """

    def observe(self, units: Sequence[Unit], known: Sequence[Record]) -> Observed:
        """See the units, and whatever else of our estate is at this site; `known` says where else to look."""
        ...

    def watch(self, changed: Callable[[], None]) -> bool:
        """Call `changed` soon after something that `observe` sees has changed, until the driver is closed.

        Calls come from other threads. False where this mode cannot watch: then it has to be looked at now and then.
        """
        ...

    def apply(self, changes: Sequence[Change], report: Report) -> Iterator[Outcome]:
        """Make the changes of one workload and one wave; one outcome per change, each as soon as it is known."""
        ...

    def take(self, lease: Lease) -> Lease | None:
        """Put the site's lease on the target, or renew it; the other's lease if it is held and has not run out."""
        ...

    def release(self, lease: Lease) -> None:
        """Take the lease off the target; nothing happens if it is not ours."""
        ...

    def unlock(self) -> None:
        """Take any lease off the target, whoever holds it; a person has said that the holder is dead."""
        ...

    def spent(self) -> Tally:
        """What this driver has cost so far."""
        ...

    def close(self) -> None:
        """End whatever the driver keeps running."""
        ...
