"""Where something was written, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A place in a file of the estate: path relative to the estate's root, line and column counted from 1."""

    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, order=True)
class Diagnostic:
    """One thing that is wrong in the documents: where, what, and what would be right."""

    source: Source
    message: str
    hint: str = ""
    severity: str = "error"  # or "warning"
    private: bool = False  # a secret stands in the line: it must not be shown

    def __str__(self) -> str:
        return f"{self.source}: {self.message}" + (f"; {self.hint}" if self.hint else "")
