"""Who may change a site. Each lease has a higher token than the one before; a writer with a lower one is stale."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, bindparam, select

from orchestrator.errors import LeaseHeldError
from orchestrator.holders import is_dead, shown
from orchestrator.model.outcome import Lease
from orchestrator.state.schema import CHECKED, leases, put
from orchestrator.timetext import ago


def take(connection: Connection, wanted: Lease) -> Lease:
    """The lease, with its token. Raises LeaseHeldError where a holder that may live has it."""
    row = _row(connection, wanted.site)
    if row is not None and is_live(row, wanted.since):
        raise LeaseHeldError(
            f"{row.site} is being applied to by {shown(row.holder)}, since {ago(wanted.since - row.since)}",
            hint=f"wait for it to end; if you know that it is dead: orchestrator unlock {row.site}",
        )
    taken = replace(wanted, token=(row.token if row is not None else 0) + 1)
    _put(connection, taken)
    return taken


def renew(connection: Connection, lease: Lease, until: float) -> Lease:
    """The same lease, for longer. Raises LeaseHeldError where it is another's by now."""
    check(connection, lease)
    renewed = replace(lease, until=until)
    _put(connection, renewed)
    return renewed


def release(connection: Connection, lease: Lease) -> None:
    """Give it back; nothing happens if it is another's by now."""
    row = _row(connection, lease.site)
    if row is not None and row.token == lease.token:
        _put(connection, replace(lease, holder="", until=0.0))


def unlock(connection: Connection, site: str) -> None:
    """Take it from whoever has it: the token grows, so that the holder's next write fails."""
    row = _row(connection, site)
    if row is not None:
        _put(connection, Lease(site, "", row.run, row.token + 1, row.since, 0.0))


def held(connection: Connection, site: str) -> Lease | None:
    """The lease of a site, if somebody has it."""
    row = _row(connection, site)
    return row if row is not None and row.holder else None


def check(connection: Connection, lease: Lease) -> None:
    """Raises LeaseHeldError where a lease is not its holder's any more."""
    checked = connection.info.setdefault(CHECKED, set())
    if (lease.site, lease.token, lease.holder) in checked:
        return
    row = _row(connection, lease.site)
    if row is None or row.token != lease.token or row.holder != lease.holder:
        now = f"{shown(row.holder)} has it now" if row is not None and row.holder else "it was unlocked"
        raise LeaseHeldError(
            f"the lease of {lease.site} is not ours any more: {now}",
            hint="nothing more was written; see what the other one did: orchestrator history",
        )
    checked.add((lease.site, lease.token, lease.holder))


def is_held(connection: Connection, site: str, now: float) -> bool:
    """Whether somebody who may live has a site."""
    row = _row(connection, site)
    return row is not None and is_live(row, now)


def live_runs(connection: Connection, now: float) -> frozenset[int]:
    """The runs that hold a lease and may be alive."""
    return frozenset(lease.run for lease in map(_lease, connection.execute(_ALL)) if is_live(lease, now))


def is_live(lease: Lease, now: float) -> bool:
    """Whether a lease counts: it has a holder, has not run out, and its holder is not known to be dead."""
    return bool(lease.holder) and lease.until > now and not is_dead(lease.holder)


_ALL = select(leases.c.site, leases.c.holder, leases.c.run, leases.c.token, leases.c.since, leases.c.until)
_OF_SITE = _ALL.where(leases.c.site == bindparam("wanted"))
_PUT = put(leases)


def _row(connection: Connection, site: str) -> Lease | None:
    found = connection.execute(_OF_SITE, {"wanted": site}).one_or_none()
    return _lease(found) if found is not None else None


def _lease(row: Any) -> Lease:
    return Lease(row.site, row.holder, row.run, row.token, row.since, row.until)


def _put(connection: Connection, lease: Lease) -> None:
    connection.execute(_PUT, asdict(lease))
