"""What is wrong in the documents: with the line and a caret for people, as data for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orchestrator.cli.views import text as t
from orchestrator.model.source import Diagnostic

Lines = Callable[[str], Sequence[str]]
"""Gives the lines of a file that a diagnostic names; none where it cannot be read."""

_WIDEST_LINE = 110
_LARGEST_FILE = 8 * 1024 * 1024


def diagnostics_text(diagnostics: Sequence[Diagnostic], lines: Lines, *, files: int = 0, colour: bool = False) -> str:
    """Each diagnostic with its line and a caret, in the order of the files, then how many there are.

    `files` is how many files were read (0: not known).
    """
    ordered = sorted(diagnostics)
    blocks = [_block(diagnostic, lines, colour) for diagnostic in ordered]
    return "\n".join([*blocks, _sum(ordered, files)])


def diagnostics_data(diagnostics: Sequence[Diagnostic]) -> dict[str, Any]:
    """`{"diagnostics": [{"file", "line", "column", "severity", "message", "hint"}]}`"""
    return {
        "diagnostics": [
            {
                "file": d.source.file,
                "line": d.source.line,
                "column": d.source.column,
                "severity": d.severity,
                "message": d.message,
                "hint": d.hint,
            }
            for d in sorted(diagnostics)
        ]
    }


def lines_below(root: Path) -> Lines:
    """The lines of files below an estate's root, each read once."""
    read: dict[str, Sequence[str]] = {}

    def lines(file: str) -> Sequence[str]:
        if file not in read:
            read[file] = _lines_of(root / file) if file else ()
        return read[file]

    return lines


def _lines_of(path: Path) -> Sequence[str]:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_FILE:
            return ()
        return path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ()


def _block(diagnostic: Diagnostic, lines: Lines, colour: bool) -> str:
    source = diagnostic.source
    place = t.painted(t.clean(str(source)), t.BOLD, colour)
    kind = "warning: " if diagnostic.severity == "warning" else ""
    message = t.clean(diagnostic.message) + (f"; {t.clean(diagnostic.hint)}" if diagnostic.hint else "")
    head = f"{place}: {t.painted(kind, t.YELLOW, colour)}{message}" if str(source) else message
    if diagnostic.private:
        return head
    return "\n".join([head, *_excerpt(source.line, source.column, lines(source.file), colour)])


def _excerpt(line: int, column: int, lines: Sequence[str], colour: bool) -> list[str]:
    """The line, and below it a caret under its column; of a long line the part around the column."""
    if not 1 <= line <= len(lines):
        return []
    text, at = lines[line - 1].rstrip("\r"), max(column - 1, 0)
    start = max(0, at - _WIDEST_LINE // 2) if len(text) > _WIDEST_LINE else 0
    part = text[start : start + _WIDEST_LINE]
    gutter = f"{line:>5} | "
    excerpt = [gutter + t.clean(part.replace("\t", " "))]
    if column and at <= len(text):
        before = t.clean(part[: at - start].replace("\t", " "))
        excerpt.append(" " * (len(gutter) + t.width_of(before)) + t.painted("^", t.RED, colour))
    return excerpt


def _sum(diagnostics: Sequence[Diagnostic], files: int) -> str:
    """`2 errors in 2 of 9 files.`"""
    errors = [d for d in diagnostics if d.severity == "error"]
    warnings = len(diagnostics) - len(errors)
    if not diagnostics:
        return f"No errors in {t.counted(files, 'file')}." if files else "No errors."
    parts = [t.counted(len(errors), "error")] if errors else ["no errors"]
    if warnings:
        parts.append(t.counted(warnings, "warning"))
    touched = len({d.source.file for d in diagnostics})
    of = f"{touched} of {t.counted(files, 'file')}" if files else t.counted(touched, "file")
    return f"{' and '.join(parts).capitalize()} in {of}."
