"""A unit's name, stable for life."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Mode(StrEnum):
    """How a workload is run: `stable` (machines) or `agile` (Kubernetes)."""

    STABLE = "stable"
    AGILE = "agile"


_MODES = frozenset(Mode)
MACHINE = "machine"
CONFIGURATION = "configuration"
PROGRAM = "program"  # a Pulumi program of an agile workload


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """`site/placement/mode/workload/kind/name`, where the name of a namespaced object is `namespace/name`.

    `kind` is `machine`, `configuration`, `program`, or a Kubernetes kind with its group (`Deployment.apps`, `Service`).
    """

    site: str
    placement: str
    mode: Mode
    workload: str
    kind: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address that `str()` has printed. Raises ValueError, saying what is missing."""
        return _parsed(text)

    def __str__(self) -> str:
        return f"{self.site}/{self.placement}/{self.mode}/{self.workload}/{self.kind}/{self.name}"

    @property
    def workload_key(self) -> WorkloadKey:
        """The workload at a site that this unit belongs to."""
        return WorkloadKey(self.site, self.placement, self.mode, self.workload)

    @property
    def label(self) -> str:
        """The unit's short name for a person, as `configuration db-a` or `Deployment web`."""
        return f"{self.kind.split('.')[0]} {self.name.split('/')[-1]}"

    def lies_at(self, target: str) -> bool:
        """Whether a target, an address or the beginning of some, names this unit."""
        text = str(self)
        return text == target or text.startswith(target.rstrip("/") + "/")


@lru_cache(maxsize=100_000)
def _parsed(text: str) -> Address:
    """Kept: each look meets every address several times, in stamps and in records."""
    parts = text.split("/", 5)
    if len(parts) != 6 or not all(parts):
        raise ValueError(f"`{text}` is not an address; expected site/placement/mode/workload/kind/name")
    if parts[2] not in _MODES:
        raise ValueError(f"`{text}` is not an address: the third part is stable or agile, not `{parts[2]}`")
    return Address(parts[0], parts[1], Mode(parts[2]), *parts[3:])


@dataclass(frozen=True, slots=True, order=True)
class WorkloadKey:
    """One workload of one placement at one site."""

    site: str
    placement: str
    mode: Mode
    workload: str

    def __str__(self) -> str:
        return f"{self.site}/{self.placement}/{self.mode}/{self.workload}"
