"""The probe as it is sent: its parts in one program, which needs nothing but the standard library of Python 3.6."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from orchestrator.modes.stable import probe, probe_files, probe_system, probe_things


@cache
def text() -> str:
    """The parts one after the other, without what they import from each other; `main(REQUEST)` is to follow."""
    sources = [Path(str(part.__file__)).read_text() for part in (probe_files, probe_system, probe_things, probe)]
    lines = [line for source in sources for line in _alone(source)]
    return "\n".join(lines) + "\n"


def _alone(source: str) -> list[str]:
    kept, inside = [], False
    for line in source.splitlines():
        inside = inside or line.startswith("from orchestrator.")
        if not inside:
            kept.append(line)
        inside = inside and line.endswith(("(", ",")) and not line.startswith(")")
    return kept
