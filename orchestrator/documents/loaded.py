"""The documents of an estate as one value, with the position of every key and value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from orchestrator.documents.models import Blueprint, Estate, Placement, Site
from orchestrator.model.revision import PinRow
from orchestrator.model.source import Diagnostic, Source

if TYPE_CHECKING:
    from orchestrator.documents.providers import Provider

JsonPath: TypeAlias = tuple[str | int, ...]  # ("spec", "agile", "web", "vars", "dbHost")

M = TypeVar("M", Estate, Blueprint, Site, Placement)


@dataclass(frozen=True, slots=True)
class Positions:
    """Where each value (and each key) of one document was written, and the lines of the whole file."""

    file: str
    values: Mapping[JsonPath, tuple[int, int]] = field(default_factory=dict)
    keys: Mapping[JsonPath, tuple[int, int]] = field(default_factory=dict)
    lines: Sequence[str] = field(default=(), repr=False)

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

    def inside(self, path: JsonPath, text: str, offset: int) -> Source:
        """The place of the character at `offset` of the text at `path`; the text's own where that cannot be told.

        Told for what stands on one line, quoted or not, and for block scalars (`|`).
        """
        place = self.values.get(path)
        if place is None or place[0] > len(self.lines):
            return self.of(*path)
        line, column = place
        written = self.lines[line - 1][column - 1 :]
        if written.startswith("|"):
            return self._in_block(line, text, offset)
        quote = written[0] if written[:1] in ("'", '"') else ""
        if written[len(quote) :].startswith(text) or (quote and "\\" not in written and "\n" not in text):
            doubled = text.count("'", 0, offset) if quote == "'" else 0  # '' stands for one
            return Source(self.file, line, column + len(quote) + offset + doubled)
        return self.of(*path)

    def _in_block(self, line: int, text: str, offset: int) -> Source:
        before = text[:offset].split("\n")
        line += len(before)
        if line > len(self.lines):
            return Source(self.file, line - len(before))
        inner = text.split("\n")[len(before) - 1]
        indent = len(self.lines[line - 1]) - len(inner)
        return Source(self.file, line, max(indent, 0) + len(before[-1]) + 1)


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
