"""What a run of the engine is about, and how one fails: values, so that nothing of Pulumi is imported to have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.model.address import Address
from orchestrator.model.observation import Difference
from orchestrator.model.unit import Unit
from orchestrator.model.values import Value
from orchestrator.modes.agile.programs.room import Room

if TYPE_CHECKING:
    from orchestrator.modes.agile.programs.kept import Kept

_DESTROY_SECONDS = 3600.0


class RunFailed(Exception):  # noqa: N818 - told as an observation or an outcome
    """A run of the engine has failed: what, where (file:line), and everything that was printed."""

    def __init__(self, message: str, *, where: str = "", log: str = "", task: str = "") -> None:
        super().__init__(message)
        self.message, self.where, self.log, self.task = message, where, log, task


@dataclass(frozen=True, slots=True)
class Drift:
    """What providers found otherwise than a program has left it; `failed` says why they could not be asked."""

    differences: tuple[Difference, ...] = ()
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What a run is about: a unit, or (for a removal) only what is kept of it."""

    address: Address
    namespace: str
    project: str
    stack: str
    unit: Unit | None = None

    @classmethod
    def of_unit(cls, unit: Unit, stack: str) -> Target:
        """A declared program."""
        return cls(unit.address, str(unit.spec["namespace"]), str(unit.spec["project"]), stack, unit)

    @classmethod
    def of_kept(cls, kept: Kept) -> Target:
        """A program that is declared no more."""
        return cls(kept.address, kept.namespace, kept.project, kept.stack)

    @property
    def config(self) -> Mapping[str, Value]:
        """The program's configuration."""
        found = self.unit.spec.get("vars") if self.unit else {}
        return found if isinstance(found, Mapping) else {}

    @property
    def files(self) -> Mapping[str, str]:
        """The program's files, below its folder: name -> SHA-256."""
        found = self.unit.spec["files"] if self.unit else {}
        assert isinstance(found, Mapping)
        return {str(name): str(digest) for name, digest in found.items()}

    @property
    def folder(self) -> str:
        """The program's folder as people know it."""
        return str(self.unit.spec["where"]) if self.unit else ""

    @property
    def seconds(self) -> float:
        """For all of a run."""
        given = self.unit.spec.get("timeout") if self.unit else None
        return float(given) if isinstance(given, int | float) else _DESTROY_SECONDS

    def home(self, scratch: Path) -> Path:
        """Where the stack's folders are, below a site's."""
        path = scratch / "programs" / self.stack
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def room(self, scratch: Path) -> Room:
        """The stack's own folder, which stays."""
        return Room(self.home(scratch), self.project, self.stack)
