"""How a change is rolled out: in batches, how many may fail, and what a failure does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from orchestrator.model.source import Source


@dataclass(frozen=True, slots=True)
class Batch:
    """Which of how many batches a change belongs to, counted from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"batch {self.number} of {self.of}"


@dataclass(frozen=True, slots=True)
class Rollout:
    """One mode of a placement's change policy.

    batches       the size of each batch: a number, or a percentage as `25%`; the last one is repeated
    max_failures  how many may fail before no further batch is begun
    on_failure    `stop`; agile: or `rollback`, to what was last good; stable: or `restore`, to the snapshot
    snapshot      whether machines are kept before they are changed
    sites         all sites that the placement picks, by name
    source        where it is written
    """

    batches: tuple[int | str, ...] = ("100%",)
    max_failures: int = 0
    on_failure: str = "stop"
    snapshot: bool = False
    sites: tuple[str, ...] = ()
    source: Source = field(default_factory=Source)

    def batch_at(self, position: int, total: int) -> Batch:
        """The batch of what stands at a position (from 0) among `total`."""
        ends = list(accumulate(sizes(self.batches, total)))
        return Batch(1 + next(i for i, end in enumerate(ends) if position < end), len(ends))


def sizes(batches: Sequence[int | str], total: int) -> list[int]:
    """The size of each batch: percentages are of `total`, rounded down, 1 at least; the last one is repeated."""
    found: list[int] = []
    while sum(found) < total:
        given = batches[min(len(found), len(batches) - 1)]
        size = given if isinstance(given, int) else max(1, total * int(given.rstrip("%")) // 100)
        found.append(min(size, total - sum(found)))
    return found
