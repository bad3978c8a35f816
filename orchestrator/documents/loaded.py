"""The documents of an estate as one value, with the position of every key and value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from orchestrator.documents.models import Blueprint, Estate, Placement, Site
from orchestrator.model.source import Diagnostic, Source

JsonPath: TypeAlias = tuple[str | int, ...]  # ("spec", "agile", "web", "vars", "dbHost")

M = TypeVar("M", Estate, Blueprint, Site, Placement)


@dataclass(frozen=True, slots=True)
class Positions:
    """Where each value (and each key) of one document was written."""

    file: str
    values: Mapping[JsonPath, tuple[int, int]] = field(default_factory=dict)
    keys: Mapping[JsonPath, tuple[int, int]] = field(default_factory=dict)

    def of(self, *path: str | int) -> Source:
        """The place of the value at `path`, or of its nearest ancestor that was written."""
        for end in range(len(path), -1, -1):
            if (found := self.values.get(path[:end])) is not None:
                return Source(self.file, *found)
        return Source(self.file, 1, 1)

    def of_key(self, *path: str | int) -> Source:
        """The place of the key at `path`; the value's where it has none."""
        found = self.keys.get(path)
        return Source(self.file, *found) if found else self.of(*path)


@dataclass(frozen=True, slots=True)
class Written(Generic[M]):
    """One document: its model, and where it was written."""

    model: M
    at: Positions


@dataclass(frozen=True, slots=True)
class Folder:
    """A blueprint's folder: what its workloads name, read whole.

    root     absolute path, for Ansible; label: as shown to people (relative to the estate, or `catalogue:NAME`)
    files    path relative to root -> content, for all regular files (symlinks that leave the estate are refused)
    """

    root: Path
    label: str
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class BlueprintSource:
    """A blueprint and the content of its folder."""

    document: Written[Blueprint]
    folder: Folder
    digest: str  # of the document (comments and key order do not count) and of the folder's files


@dataclass(frozen=True, slots=True)
class Loaded:
    """An estate, whole: what documents.load() returns. With errors among `diagnostics` nothing may be planned.

    blueprints  all versions known to the estate and the built-in catalogue, by (name, version)
    chosen      placement name -> key of the blueprint that its `blueprint:` picks (absent where none fits)
    """

    root: Path
    estate: Written[Estate]
    blueprints: Mapping[tuple[str, str], BlueprintSource]
    sites: Mapping[str, Written[Site]]
    placements: Mapping[str, Written[Placement]]
    chosen: Mapping[str, tuple[str, str]]
    diagnostics: tuple[Diagnostic, ...] = ()
