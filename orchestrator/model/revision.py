"""What a placement was resolved from, so that it can be resolved from it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.model.address import WorkloadKey


@dataclass(frozen=True, slots=True)
class Revision:
    """A placement's document and its blueprint's folder as they were; secrets are in them by reference only.

    digest    names it: two revisions that say the same have one digest
    data      `{"placement", "file", "blueprint": {"name", "version", "label", "own", "files": {PATH: FILE}}}`: `own` is
              the blueprint's document among the files; a FILE is `{"digest", "run"}`, `run`: it is a program
    contents  the digest of a file's content -> that content
    """

    digest: str
    data: Mapping[str, Any]
    contents: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Good:
    """One workload that a run has left as one revision wanted it."""

    run: int
    workload: WorkloadKey
    revision: str


@dataclass(frozen=True, slots=True)
class PinRow:
    """A placement, or one workload of it at one site, that stays at a revision until its documents change.

    run        the run that had left it so
    documents  the digest of the revision that the documents made when it was pinned
    site, mode, workload  empty where the whole placement is meant
    why        `rollback` (a person's), or `failed`
    """

    placement: str
    run: int
    revision: str
    documents: str
    since: float
    why: str
    site: str = ""
    mode: str = ""
    workload: str = ""

    @property
    def what(self) -> str:
        """`agile web is `, before what is told of it; empty for a whole placement."""
        return f"{self.mode} {self.workload} is " if self.workload else ""

    @property
    def told(self) -> str:
        """`pinned to run 41 by rollback; to go on with the documents: orchestrator rollback shop --release`"""
        why = "by rollback" if self.why == "rollback" else "as what came after it failed"
        release = f"to go on with the documents: orchestrator rollback {self.placement} --release"
        return f"{self.what}pinned to run {self.run} {why}; {release}"
