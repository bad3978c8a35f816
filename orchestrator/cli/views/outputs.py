"""What placements tell the world."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.cli.views import text as t
from orchestrator.model.values import Unknown, Value, masked

Outputs = Mapping[tuple[str, str], Mapping[str, Value]]


def render(outputs: Outputs, output: str) -> str:
    """The outputs by (site, placement), as `table` or `json`; secrets masked."""
    if output == "json":
        return json.dumps(outputs_data(outputs), ensure_ascii=False)
    rows = [
        (site, placement, name, _cell(value))
        for (site, placement), values in sorted(outputs.items())
        for name, value in values.items()
    ]
    if not rows:
        return "No outputs. A blueprint declares them under `outputs:`."
    return t.table(("SITE", "PLACEMENT", "OUTPUT", "VALUE"), rows)


def outputs_data(outputs: Outputs) -> dict[str, Any]:
    """`{"outputs": {SITE: {PLACEMENT: {NAME: value}}}}`; what is not known yet is null."""
    found: dict[str, dict[str, Any]] = {}
    for (site, placement), values in sorted(outputs.items()):
        found.setdefault(site, {})[placement] = {
            name: None if isinstance(value, Unknown) and not value.secret else masked(value)
            for name, value in values.items()
        }
    return {"outputs": found}


def _cell(value: Value) -> str:
    """A text as it is, so that it can be copied; anything else as JSON."""
    plain = masked(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
