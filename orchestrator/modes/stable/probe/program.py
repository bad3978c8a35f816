"""The probe as it is sent: its parts in one program, which needs nothing but the standard library of Python 3.6."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.modes.stable.probe import files, serving, system, things

# Python's own argument, in single quotes: reads a program of so many bytes from stdin, and leaves the rest to it.
STARTER = "import sys; i = sys.stdin.buffer; exec(i.read(int(i.readline())))"


@cache
def text() -> str:
    """The parts one after the other, without what they import from each other; it answers what then comes on stdin."""
    sources = [Path(str(part.__file__)).read_text() for part in (files, system, things, serving)]
    lines = [line for source in sources for line in _alone(source)]
    return "\n".join(["Any = None  # typing costs more than it is worth there", *lines, "serve()"]) + "\n"


def stdin(ask: Mapping[str, Any]) -> bytes:
    """What a Python that was started with STARTER gets to read: the program, and the first request."""
    program = text().encode()
    return b"%d\n%s%s" % (len(program), program, request(ask))


def request(ask: Mapping[str, Any]) -> bytes:
    """A request, as a line."""
    return json.dumps(ask).encode() + b"\n"


def _alone(source: str) -> list[str]:
    kept, inside = [], False
    for line in source.splitlines():
        inside = inside or line.startswith(("from orchestrator.", "from typing "))
        if not inside:
            kept.append(line)
        inside = inside and line.endswith(("(", ",")) and not line.startswith(")")
    return kept
