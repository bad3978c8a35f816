"""The states of stacks, every one that was kept of late: compressed, with what is secret in them encrypted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select

from orchestrator.model.address import WorkloadKey
from orchestrator.model.history import StateRow
from orchestrator.state.schema import stacks

MOST_KEPT = 50  # of each stack

_KEEP = insert(stacks)
_OF_ONE = stacks.c.workload == bindparam("of")
_NEWEST = select(stacks.c.serial, stacks.c.state, stacks.c.about).where(_OF_ONE).order_by(stacks.c.number.desc())
_LAST_NUMBERS = select(stacks.c.number).where(_OF_ONE).order_by(stacks.c.number.desc()).limit(MOST_KEPT)
_LET_GO = delete(stacks).where(_OF_ONE, stacks.c.number.not_in(_LAST_NUMBERS))
_ROWS = select(stacks.c.number, stacks.c.workload, stacks.c.serial, stacks.c.kept, stacks.c.about)


def save(
    connection: Connection, key: WorkloadKey, serial: int, state: bytes, about: Mapping[str, Any], now: float
) -> None:
    """Keep one, and let the oldest go."""
    row = {"workload": str(key), "site": key.site, "serial": serial, "kept": now, "about": dict(about), "state": state}
    connection.execute(_KEEP, row)
    connection.execute(_LET_GO, {"of": str(key)})


def newest(connection: Connection, key: WorkloadKey) -> tuple[int, bytes, Mapping[str, Any]] | None:
    """The last one that was kept of a stack."""
    row = connection.execute(_NEWEST.limit(1), {"of": str(key)}).first()
    return (row.serial, row.state, row.about) if row else None


def listed(connection: Connection, key: str | None, since: float, until: float) -> list[StateRow]:
    """Those of one stack (as `str(WorkloadKey)`; None: of all) that were kept in this time, newest first."""
    query = _ROWS.where(stacks.c.kept.between(since, until)).order_by(stacks.c.number.desc())
    if key is not None:
        query = query.where(stacks.c.workload == key)
    return [StateRow(*row) for row in connection.execute(query)]


def content(connection: Connection, number: int) -> bytes | None:
    """One of them, compressed."""
    found: bytes | None = connection.execute(select(stacks.c.state).where(stacks.c.number == number)).scalar()
    return found
