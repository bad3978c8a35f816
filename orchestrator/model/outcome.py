"""What became of a change, and what is told while it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from orchestrator.model.address import Address
from orchestrator.model.observation import Coverage


class Result(StrEnum):
    """How a step ended."""

    DONE = "done"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    HELD = "held"  # not tried, because of what it needs
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One step's end.

    `message` names no secret; `task` and `where` (file:line) say where it failed; `log` is its full text.
    """

    address: Address
    result: Result
    message: str = ""
    task: str = ""
    where: str = ""
    log: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    uid: str = ""
    digest: str = ""
    coverage: Coverage | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """A word about a step that is under way."""

    address: Address
    text: str


Report: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to change one site: who holds it, for which run, from when until when (seconds since the epoch).

    `token` grows with every lease of a site; a writer with an older one is stale.
    """

    site: str
    holder: str
    run: int
    token: int
    since: float
    until: float
