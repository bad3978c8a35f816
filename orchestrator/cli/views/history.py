"""What was done: the runs, and one run step by step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from orchestrator.cli.views import text as t
from orchestrator.model.history import RunRow, StepRow

_MARKS = {"done": "✓", "failed": "✗"}
_OTHER = "!"
UNDER_WAY = "under way"

_RUNS = ("RUN", "COMMAND", "STARTED", "TOOK", "RESULT", "STEPS")
_STEPS = ("", "WAVE", "ADDRESS", "ACTION", "TOOK", "WHAT HAPPENED")
_LONGEST = 100


def mark(result: str) -> str:
    """`✓`, `✗`, or `!` for what ended otherwise or not at all."""
    return _MARKS.get(result, _OTHER)


def time_text(seconds: float) -> str:
    """A moment as `2026-11-23T21:47:53Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def render_runs(runs: Sequence[RunRow], output: str) -> str:
    """The runs as `table` or `json`, in the order given."""
    if output == "json":
        return json.dumps({"runs": [_run_data(run) for run in runs]}, ensure_ascii=False)
    if not runs:
        return "No runs yet. The first one: orchestrator apply"
    return t.table(_RUNS, [_run_cells(run) for run in runs])


def render_run(run: RunRow, output: str) -> str:
    """One run with its steps as `table` or `json`."""
    if output == "json":
        steps = [_step_data(step) for step in run.steps]
        return json.dumps({**_run_data(run), "steps": steps}, ensure_ascii=False)
    took = f" in {t.duration(run.ended - run.started)}" if run.ended else ""
    head = f"Run {run.run}: {t.clean(run.kind)}, {time_text(run.started)}, {run.result or UNDER_WAY}{took}"
    if not run.steps:
        return f"{head}\nNo step was taken."
    hint = f"The full log of a step: orchestrator show {run.run} --log ADDRESS"
    return "\n".join([head, t.table(_STEPS, [_step_cells(step) for step in run.steps]), hint])


def _run_cells(run: RunRow) -> tuple[str, ...]:
    counts = ", ".join(f"{count} {result}" for result, count in run.counts.items() if count)
    took = t.duration(run.ended - run.started) if run.ended else "–"
    result = f"{mark(run.result)} {run.result or UNDER_WAY}"
    return (str(run.run), run.kind, time_text(run.started), took, result, counts or "–")


def _step_cells(step: StepRow) -> tuple[str, ...]:
    took = t.duration(step.ended - step.started) if step.ended else "–"
    # Of a message the first line says what happened; the rest is in the log.
    said = step.message.split("\n", 1)[0] if step.message else step.reason
    return (mark(step.result), str(step.wave or ""), step.address, step.action, took, t.cut(t.clean(said), _LONGEST))


def _run_data(run: RunRow) -> dict[str, Any]:
    return {
        "run": run.run,
        "command": run.kind,
        "started": time_text(run.started),
        "ended": time_text(run.ended) if run.ended else None,
        "result": run.result or None,
        "counts": dict(run.counts),
    }


def _step_data(step: StepRow) -> dict[str, Any]:
    return {
        "address": step.address,
        "action": step.action,
        "reason": step.reason,
        "wave": step.wave,
        "started": time_text(step.started),
        "ended": time_text(step.ended) if step.ended else None,
        "result": step.result or None,
        "message": step.message,
    }
