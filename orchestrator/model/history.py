"""What was done, as it is read back from the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SNAPSHOT_STEPS = ("snapshot", "restore", "drop snapshot")
"""What is done about a machine's snapshots, in the words of the journal: no actions of a plan."""


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step of a run. Times are seconds since the epoch; `ended` and `result` are empty where it never ended."""

    address: str
    action: str
    reason: str = ""
    wave: int = 0
    started: float = 0.0
    ended: float | None = None
    result: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run. Times are seconds since the epoch; `ended` and `result` are empty while it is under way.

    kind    `apply`, `rollback`, `adopt`, `forget`, `destroy` or `reconcile`
    result  `done`, `failed` or `interrupted` (its process was killed, or it was asked to stop)
    counts  how many steps ended which way
    """

    run: int
    kind: str
    started: float
    ended: float | None = None
    result: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    steps: tuple[StepRow, ...] = ()


@dataclass(frozen=True, slots=True)
class StateRow:
    """One state of a Pulumi program's stack that was kept; `kept` is seconds since the epoch.

    workload  `site/placement/agile/NAME`
    about     `resources`, `pending`, `unfinished` and what else tells of it
    """

    number: int
    workload: str
    serial: int
    kept: float
    about: Mapping[str, Any] = field(default_factory=dict)
