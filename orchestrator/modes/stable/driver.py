"""The stable mode behind the Driver protocol."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from orchestrator.errors import DriverError
from orchestrator.model.address import MACHINE, Address
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Observed, Tally
from orchestrator.model.outcome import Lease, Outcome, Report
from orchestrator.model.record import Record
from orchestrator.model.unit import Unit
from orchestrator.modes.stable import leases, looking
from orchestrator.modes.stable.configuration import Checked, Configurations
from orchestrator.modes.stable.machines import Machines
from orchestrator.modes.stable.place import Place
from orchestrator.modes.stable.provider_runs import ProviderRuns
from orchestrator.modes.stable.reach.reaching import Reach
from orchestrator.modes.stable.removals import Removals
from orchestrator.modes.stable.site import StableSite
from orchestrator.modes.stable.snapshots import Snapshots

_GOING = (Action.DELETE, Action.FORGET)


class StableDriver:
    """Machines and their configurations at one site.

    `reach` is shared by all sites of a command; its owner closes it.
    """

    def __init__(self, site: StableSite, reach: Reach) -> None:
        """Raises DriverError where the site's provider or inventory is not there."""
        self._place = Place(site, reach)
        if not self._place.provider.provisions and site.inventory is None:
            raise DriverError(
                f"site {site.site}: its provider `{site.provider.name}` needs an inventory",
                hint="add `inventory: hosts.yml` under `stable:` of the Site",
            )
        runs = ProviderRuns(self._place)
        self._machines = Machines(self._place, runs)
        self._configurations = Configurations(self._place)
        self._removals = Removals(self._place)
        self._snapshots = Snapshots(self._place, runs)

    def observe(self, units: Sequence[Unit], known: Sequence[Record]) -> Observed:
        """One probe per host, all at once; the provider is asked only where the hosts do not tell everything."""
        return looking.look(self._place, self._machines, units, known)

    def watch(self, changed: Callable[[], None]) -> bool:
        """Nothing on a host tells us by itself."""
        return False

    def prepare(self, changes: Sequence[Change]) -> None:
        """Ansible, where these changes begin with a playbook of theirs: machines and removals come before."""
        if all(c.address.kind != MACHINE and c.action not in _GOING for c in changes):
            self._configurations.prepare(changes)

    def apply(self, changes: Sequence[Change], report: Report) -> Iterator[Outcome]:
        """What is to go goes first, configurations before machines; what is to be comes up the other way round."""
        started = time.monotonic()
        for outcome in self._apply(changes, report):
            yield replace(outcome, seconds=time.monotonic() - started)

    def _apply(self, changes: Sequence[Change], report: Report) -> Iterator[Outcome]:
        machines = [c for c in changes if c.address.kind == MACHINE]
        configurations = [c for c in changes if c.address.kind != MACHINE]
        going = [c for c in configurations if c.action in _GOING or c.unit is None]
        coming = [c for c in configurations if c not in going]
        if going:
            yield from self._removals.apply(going, report)
        if machines:
            yield from self._machines.apply(machines, report)
        if coming:
            yield from self._configurations.apply(coming, report)

    def why_no_snapshots(self) -> str:
        """Which provider cannot take them."""
        return self._snapshots.why_not()

    def check(self, units: Sequence[Unit]) -> dict[Address, Checked]:
        """What Ansible's check mode would change of these configurations; slow, and changes nothing."""
        return self._configurations.check(units)

    def snapshot(self, changes: Sequence[Change], name: str) -> Iterator[Outcome]:
        """Keep the machines that these changes are made on, as they are now; one that has this snapshot keeps it.

        One outcome for each change. Raises DriverError where the name cannot be one.
        """
        return self._snapshots.take(changes, name)

    def restore(self, changes: Sequence[Change], name: str) -> Iterator[Outcome]:
        """Give these machines back as they were, and wait until they answer; the snapshot stays."""
        return self._snapshots.restore(changes, name)

    def drop_snapshot(self, changes: Sequence[Change], name: str) -> Iterator[Outcome]:
        """Remove these machines' snapshots of that name; what is gone already is done."""
        return self._snapshots.drop(changes, name)

    def take(self, lease: Lease) -> Lease | None:
        """Put the site's lease on its first host that answered when it was last seen."""
        return leases.take(self._place, lease)

    def release(self, lease: Lease) -> None:
        """Take the lease off that host."""
        leases.release(self._place, lease)

    def unlock(self) -> None:
        """Take any lease off the hosts that answered when they were last seen."""
        leases.unlock(self._place)

    def spent(self) -> Tally:
        """Hosts that were asked, and starts of ansible-playbook."""
        return Tally(requests=self._place.requests, ansible_runs=self._place.runs.started)

    def close(self) -> None:
        """End the runs that go on."""
        self._place.runs.close()
