"""The port behind which each mode stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from orchestrator.model.change import Change
from orchestrator.model.observation import Observed, Tally
from orchestrator.model.outcome import Lease, Outcome, Report, Result
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

    def prepare(self, changes: Sequence[Change]) -> None:
        """These changes will be asked for in a moment: what is slow to load may be loaded. Nothing is changed."""
        ...

    def apply(self, changes: Sequence[Change], report: Report) -> Iterator[Outcome]:
        """Make the changes of one workload and one wave; one outcome per change, each as soon as it is known."""
        ...

    def why_no_snapshots(self) -> str:
        """Why the machines of this site cannot be kept as they are; "" where they can."""
        ...

    def snapshot(self, changes: Sequence[Change], name: str) -> Iterator[Outcome]:
        """Keep the machines that these changes are made on, as they are now; one that has this snapshot keeps it.

        One outcome for each change; so of the other two.
        """
        ...

    def restore(self, changes: Sequence[Change], name: str) -> Iterator[Outcome]:
        """Give these machines back as they were, and wait until they answer; the snapshot stays."""
        ...

    def drop_snapshot(self, changes: Sequence[Change], name: str) -> Iterator[Outcome]:
        """Remove these machines' snapshots of that name; what is gone already is done."""
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


class NoSnapshots:
    """The part of a driver whose targets cannot be kept and given back."""

    def why_no_snapshots(self) -> str:
        """There are none here."""
        return "what runs there has no snapshots"

    def snapshot(self, changes: Sequence[Change], name: str) -> Iterator[Outcome]:
        """Fails."""
        yield from (Outcome(change.address, Result.FAILED, self.why_no_snapshots()) for change in changes)

    restore = drop_snapshot = snapshot
