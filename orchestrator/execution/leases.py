"""The right to change sites: in the store for this clone, on the targets for every other."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from orchestrator.errors import LeaseHeldError
from orchestrator.execution.world import World
from orchestrator.holders import shown
from orchestrator.model.address import Mode
from orchestrator.model.outcome import Lease
from orchestrator.timetext import ago

# How long a lease outlives a holder that died elsewhere, in seconds; it is renewed at a third of that.
LASTS = 60.0


@contextmanager
def held_leases(world: World, sites: Sequence[str], run: int) -> Iterator[dict[str, Lease]]:
    """All these sites' leases, renewed until the block ends. Raises LeaseHeldError with none of them taken."""
    with ExitStack() as stack:
        leases = {}
        for site in sites:
            leases[site] = world.store.take(site, world.holder, run, LASTS)
            stack.callback(world.store.release, leases[site])
            for mode in Mode:
                _take_on_target(world, leases[site], mode, stack)
        done = threading.Event()
        renewer = threading.Thread(target=_renew, args=(world, leases, done), daemon=True, name="leases")
        renewer.start()
        stack.callback(renewer.join)
        stack.callback(done.set)
        yield leases


def _take_on_target(world: World, lease: Lease, mode: Mode, stack: ExitStack) -> None:
    driver = world.drivers.get((lease.site, mode))
    if driver is None:
        return
    stack.callback(driver.release, lease)
    if other := driver.take(lease):
        raise held(other, world.clock())


def held(other: Lease, now: float) -> LeaseHeldError:
    """The refusal that names who applies to a site, and since when."""
    return LeaseHeldError(
        f"{other.site} is being applied to by {shown(other.holder)}, since {ago(now - other.since)}",
        hint=f"wait for it to end; if you know that it is dead: orchestrator unlock {other.site}",
    )


def _renew(world: World, leases: dict[str, Lease], done: threading.Event) -> None:
    while not done.wait(LASTS / 3):
        for lease in leases.values():
            renewed = world.store.renew(lease, LASTS)
            for mode in Mode:
                if driver := world.drivers.get((lease.site, mode)):
                    driver.take(renewed)
