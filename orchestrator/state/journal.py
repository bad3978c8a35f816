"""Runs and their steps, as they are read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, func, select

from orchestrator.holders import is_alive
from orchestrator.model.address import Address
from orchestrator.model.history import SNAPSHOT_STEPS, RunRow, StepRow
from orchestrator.state.leases import live_runs
from orchestrator.state.schema import runs, steps

_RUN = select(runs.c.run, runs.c.kind, runs.c.started, runs.c.ended, runs.c.result, runs.c.counts, runs.c.holder)


def newest(connection: Connection, limit: int, now: float) -> list[RunRow]:
    """The last runs, newest first, without their steps."""
    rows = connection.execute(_RUN.order_by(runs.c.run.desc()).limit(limit)).all()
    return _rows(connection, rows, now)


def one(connection: Connection, number: int, now: float) -> RunRow | None:
    """One run with its steps, in the order in which they began."""
    rows = connection.execute(_RUN.where(runs.c.run == number)).all()
    found = _rows(connection, rows, now)
    return _with_steps(connection, found[0]) if found else None


def last_by_site(connection: Connection, now: float) -> dict[str, RunRow]:
    """The last run that took a step at each site, without its steps."""
    lasts = connection.execute(select(steps.c.site, func.max(steps.c.run)).group_by(steps.c.site)).all()
    wanted = {number for _, number in lasts}
    rows = connection.execute(_RUN.where(runs.c.run.in_(wanted))).all()
    by_number = {row.run: row for row in _rows(connection, rows, now)}
    return {site: by_number[number] for site, number in lasts}


def unfinished(connection: Connection, now: float) -> list[RunRow]:
    """Runs whose process is gone without an end, each with the steps that were begun and never ended."""
    rows = connection.execute(_RUN.where(runs.c.ended.is_(None)).order_by(runs.c.run)).all()
    dead = [run for run in _rows(connection, rows, now) if run.result]
    whole = [_with_steps(connection, run) for run in dead]
    return [replace(run, steps=tuple(step for step in run.steps if step.ended is None)) for run in whole]


def snapshots(connection: Connection, site: str) -> dict[Address, tuple[str, str]]:
    """Machines -> the last of their steps that are about snapshots, and its result; without those that are dropped.

    One whose snapshot failed has none; of one that was never told the end, nobody knows.
    """
    query = select(steps.c.address, steps.c.action, steps.c.result).where(
        steps.c.site == site, steps.c.action.in_(SNAPSHOT_STEPS)
    )
    found: dict[Address, tuple[str, str]] = {}
    for row in connection.execute(query.order_by(steps.c.step)):
        found[Address.parse(row.address)] = (row.action, row.result)
    return {a: state for a, state in found.items() if state not in (("drop snapshot", "done"), ("snapshot", "failed"))}


def _rows(connection: Connection, rows: Sequence[Any], now: float) -> list[RunRow]:
    """The result of a run that has no end is `interrupted`, unless its process is seen, or it still holds a lease."""
    live = live_runs(connection, now) if any(row.ended is None for row in rows) else frozenset()
    return [
        RunRow(
            run=row.run,
            kind=row.kind,
            started=row.started,
            ended=row.ended,
            result=row.result if row.ended is not None or row.run in live or is_alive(row.holder) else "interrupted",
            counts=row.counts if row.ended is not None else _counted(connection, row.run),
        )
        for row in rows
    ]


def _counted(connection: Connection, run: int) -> dict[str, int]:
    """How many steps of a run without an end have ended which way so far."""
    query = select(steps.c.result, func.count()).where(steps.c.run == run).group_by(steps.c.result)
    return {result or "not ended": count for result, count in connection.execute(query).all()}


def _with_steps(connection: Connection, run: RunRow) -> RunRow:
    rows = connection.execute(select(steps).where(steps.c.run == run.run).order_by(steps.c.step)).all()
    return replace(run, steps=tuple(_step(row) for row in rows))


def _step(row: Any) -> StepRow:
    return StepRow(
        address=row.address,
        action=row.action,
        reason=row.reason,
        wave=row.wave,
        started=row.started,
        ended=row.ended,
        result=row.result,
        message=_said(row.message, row.task, row.place),
    )


def _said(message: str, task: str, place: str) -> str:
    """Where it failed, then what was said."""
    where = f'at "{task}"' if task else ""
    where += f" ({place})" if place else ""
    return ": ".join(part for part in (where.strip(), message) if part)
