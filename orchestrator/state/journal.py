"""Runs and their steps, as they are read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.holders import is_alive
from orchestrator.model.history import RunRow, StepRow
from orchestrator.state.database import Connection
from orchestrator.state.leases import live_runs

_RUN = "SELECT run, kind, started, ended, result, counts, holder FROM runs"


def newest(connection: Connection, limit: int, now: float) -> list[RunRow]:
    """The last runs, newest first, without their steps."""
    rows = connection.rows(f"{_RUN} ORDER BY run DESC LIMIT :most", most=limit)
    return _rows(connection, rows, now)


def one(connection: Connection, number: int, now: float) -> RunRow | None:
    """One run with its steps, in the order in which they began."""
    rows = connection.rows(f"{_RUN} WHERE run = :run", run=number)
    found = _rows(connection, rows, now)
    return _with_steps(connection, found[0]) if found else None


def last_by_site(connection: Connection, now: float) -> dict[str, RunRow]:
    """The last run that took a step at each site, without its steps."""
    lasts = connection.rows("SELECT site, max(run) AS run FROM steps GROUP BY site")
    rows = connection.rows(f"{_RUN} WHERE run IN (SELECT max(run) FROM steps GROUP BY site)")  # noqa: S608
    by_number = {row.run: row for row in _rows(connection, rows, now)}
    return {last["site"]: by_number[last["run"]] for last in lasts}


def unfinished(connection: Connection, now: float) -> list[RunRow]:
    """Runs whose process is gone without an end, each with the steps that were begun and never ended."""
    rows = connection.rows(f"{_RUN} WHERE ended IS NULL ORDER BY run")
    dead = [run for run in _rows(connection, rows, now) if run.result]
    whole = [_with_steps(connection, run) for run in dead]
    return [replace(run, steps=tuple(step for step in run.steps if step.ended is None)) for run in whole]


def _rows(connection: Connection, rows: Sequence[Mapping[str, Any]], now: float) -> list[RunRow]:
    """The result of a run that has no end is `interrupted`, unless its process is seen, or it still holds a lease."""
    live = live_runs(connection, now) if any(row["ended"] is None for row in rows) else frozenset()

    def is_under_way(row: Mapping[str, Any]) -> bool:
        return row["run"] in live or is_alive(row["holder"])

    return [
        RunRow(
            run=row["run"],
            kind=row["kind"],
            started=row["started"],
            ended=row["ended"],
            result=row["result"] if row["ended"] is not None or is_under_way(row) else "interrupted",
            counts=row["counts"] if row["ended"] is not None else _counted(connection, row["run"]),
        )
        for row in rows
    ]


def _counted(connection: Connection, run: int) -> dict[str, int]:
    """How many steps of a run without an end have ended which way so far."""
    rows = connection.rows("SELECT result, count(*) AS n FROM steps WHERE run = :run GROUP BY result", run=run)
    return {row["result"] or "not ended": row["n"] for row in rows}


def _with_steps(connection: Connection, run: RunRow) -> RunRow:
    rows = connection.rows("SELECT * FROM steps WHERE run = :run ORDER BY step", run=run.run)
    return replace(run, steps=tuple(_step(row) for row in rows))


def _step(row: Mapping[str, Any]) -> StepRow:
    return StepRow(
        address=row["address"],
        action=row["action"],
        reason=row["reason"],
        wave=row["wave"],
        started=row["started"],
        ended=row["ended"],
        result=row["result"],
        message=_said(row["message"], row["task"], row["place"]),
    )


def _said(message: str, task: str, place: str) -> str:
    """Where it failed, then what was said."""
    where = f'at "{task}"' if task else ""
    where += f" ({place})" if place else ""
    return ": ".join(part for part in (where.strip(), message) if part)
