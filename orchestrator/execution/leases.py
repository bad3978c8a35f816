"""The right to change sites: in the store for this clone, on the targets for every other."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

from orchestrator.errors import DriverError, LeaseHeldError
from orchestrator.execution.world import World
from orchestrator.holders import shown
from orchestrator.model.address import Mode
from orchestrator.model.outcome import Lease
from orchestrator.timetext import ago

# How long a lease outlives a holder that died elsewhere, in seconds; it is renewed at a third of that.
LASTS = 60.0


@contextmanager
def held_leases(world: World, sites: Sequence[str], run: int) -> Iterator[dict[str, Lease]]:
    """All these sites' leases, renewed until the block ends. Raises LeaseHeldError with none of them taken.

    Sites are asked side by side: one that answers slowly keeps no other waiting, nor from being renewed in time.
    """
    done = threading.Event()
    with ExitStack() as stack:
        with ThreadPoolExecutor(max_workers=max(1, min(world.parallel, len(sites)))) as pool:
            taking = {site: pool.submit(_held, world, site, run, stack, done) for site in sites}
        yield {site: taken.result() for site, taken in taking.items()}


def _held(world: World, site: str, run: int, stack: ExitStack, done: threading.Event) -> Lease:
    """One site's lease, renewed until `done`; the stack, which sites share, gives it back."""
    lease = world.store.take(site, world.holder, run, LASTS)
    stack.callback(world.store.release, lease)
    for mode in Mode:
        _take_on_target(world, lease, mode, stack)
    renewer = threading.Thread(target=_renew, args=(world, lease, done), daemon=True, name=f"lease-{site}")
    renewer.start()
    stack.callback(renewer.join)
    stack.callback(done.set)
    return lease


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


def _renew(world: World, lease: Lease, done: threading.Event) -> None:
    while not done.wait(LASTS / 3):
        try:
            renewed = world.store.renew(lease, LASTS)
        except LeaseHeldError:  # another's by now: the journal refuses this run's next step, and says so
            return
        for mode in Mode:
            if driver := world.drivers.get((lease.site, mode)):
                with suppress(DriverError):  # a bad moment of the target; the next time may be better
                    driver.take(renewed)
