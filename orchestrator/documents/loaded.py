"""The documents of an estate as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.documents.models import Blueprint, Estate, Placement, Site
from orchestrator.documents.providers import Provider
from orchestrator.documents.written import Written
from orchestrator.model.revision import PinRow
from orchestrator.model.source import Diagnostic

BUILT_IN = "catalogue:"


@dataclass(frozen=True, slots=True)
class Folder:
    """A blueprint's folder: what its workloads name, read whole.

    root     absolute path, for Ansible; label: as shown to people (relative to the estate, or `catalogue:NAME`)
    files    path relative to root -> content, for all regular files (symlinks that leave the estate are refused)
    """

    root: Path
    label: str
    files: Mapping[str, bytes]

    @property
    def is_built_in(self) -> bool:
        """Whether it comes with this program."""
        return self.label.startswith(BUILT_IN)


@dataclass(frozen=True, slots=True, eq=False)
class BlueprintSource:
    """A blueprint and the content of its folder, as read once; another reading is another one."""

    document: Written[Blueprint]
    folder: Folder
    digest: str  # of the document (comments and key order do not count) and of the folder's files


@dataclass(frozen=True, slots=True)
class Pin:
    """A placement, or one workload of it at one site, that stays as a revision wants it.

    row        what is kept of it
    placement, blueprint  the revision's documents; `blueprint` is a key of `Loaded.blueprints`
    """

    row: PinRow
    placement: Written[Placement]
    blueprint: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Loaded:
    """An estate, whole: what documents.load() returns. With errors among `diagnostics` nothing may be planned.

    blueprints  all versions known to the estate and the built-in catalogue, by (name, version)
    chosen      placement name -> key of the blueprint that its `blueprint:` picks (absent where none fits)
    providers   the machine providers that sites name, by name
    files       the files that hold the estate's documents, relative to its root
    pins        what stays as it was, whatever the documents say; a pinned placement stands among `placements` as it was
    unpinned    pins that hold no longer, as the documents have changed
    """

    root: Path
    estate: Written[Estate]
    blueprints: Mapping[tuple[str, str], BlueprintSource]
    sites: Mapping[str, Written[Site]]
    placements: Mapping[str, Written[Placement]]
    chosen: Mapping[str, tuple[str, str]]
    providers: Mapping[str, Provider] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    files: tuple[str, ...] = ()
    pins: tuple[Pin, ...] = ()
    unpinned: tuple[PinRow, ...] = ()
