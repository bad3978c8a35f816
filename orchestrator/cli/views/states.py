"""The states of the stacks of Pulumi programs that are kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from orchestrator.cli.views import text as t
from orchestrator.cli.views.history import time_text
from orchestrator.model.history import StateRow

_HEAD = ("STACK OF", "SERIAL", "KEPT", "RESOURCES", "NOTES")


def render(rows: Sequence[StateRow], output: str) -> str:
    """The states as `table` or `json`, in the order given."""
    if output == "json":
        return json.dumps({"states": [_data(row) for row in rows]}, ensure_ascii=False)
    if not rows:
        return "No states are kept: no Pulumi program was applied from here."
    return t.table(_HEAD, [_cells(row) for row in rows])


def _cells(row: StateRow) -> tuple[str, ...]:
    pending = [f"nobody knows the end of {one}" for one in row.about.get("pending") or ()]
    notes = "; ".join(part for part in [str(row.about.get("unfinished") or ""), *pending] if part)
    return (row.workload, str(row.serial), time_text(row.kept), str(row.about.get("resources", "–")), notes or "–")


def _data(row: StateRow) -> dict[str, Any]:
    about = {key: row.about.get(key) for key in ("resources", "pending", "unfinished")}
    return {"workload": row.workload, "serial": row.serial, "kept": time_text(row.kept), **about}
