"""One document as it was written: its model, and the position of every key and value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from orchestrator.documents.models import Blueprint, Estate, Placement, Site
from orchestrator.model.source import Source

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
