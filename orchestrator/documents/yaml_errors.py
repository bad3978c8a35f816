"""What libyaml says about broken YAML, in people's words, with the hint that helps where an expression is the cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.model.source import Diagnostic, Source

QUOTE = "quote the whole value: an expression in {} or [], or with `: ` or ` #` in it, needs quotes"

_WORDS = {
    "mapping values are not allowed in this context": "a second `: ` in a value, or a key not aligned with its map",
    "could not find expected ':'": "a line that is neither `key: value` nor part of the value above",
    "did not find expected key": "a line that does not fit the map around it",
    "did not find expected '-' indicator": "a line that does not fit the list around it",
    "did not find expected ',' or '}'": "a `{` without its `}`, or a missing comma",
    "did not find expected ',' or ']'": "a `[` without its `]`, or a missing comma",
    "did not find expected node content": "a value is missing here",
    "found character that cannot start any token": "a character that cannot begin a value",
    "found a tab character that violates indentation": "a tab where a line begins",
    "did not find expected alphabetic or numeric character": "a `*` or `&` that names nothing",
    "found undefined alias": "an alias that names nothing",
    "but found another document": "a second document, where there can be one",
    "found unexpected end of stream": "a quote that is never closed",
    "found unexpected document indicator": "a quote that is never closed before `---`",
    "did not find expected <document start>": "something stands after the end of the document",
}
_NEVER_CLOSED = ("found unexpected end of stream", "found unexpected document indicator")
_HINTS = {
    "found undefined alias": "quote a text that begins with *",
    "but found another document": "put all plays in one list",
    "found character that cannot start any token": "indent with spaces; quote a text that begins with @, ` or %",
    "found a tab character that violates indentation": "indent with spaces",
    "did not find expected alphabetic or numeric character": "quote a text that begins with * or &",
    "mapping values are not allowed in this context": "quote a text that has `: ` in it; align keys with spaces",
}


def explain(error: Any, file: str, lines: Sequence[str]) -> Diagnostic:
    """The diagnostic for an exception of the YAML parser."""
    problem = str(getattr(error, "problem", None) or error).strip()
    marks = [getattr(error, name, None) for name in ("problem_mark", "context_mark")]
    if problem in _NEVER_CLOSED:
        marks.reverse()  # where it begins helps, the file's end does not
    mark = next((mark for mark in marks if mark), None)
    line = min(mark.line, len(lines) - 1) if mark else 0
    column = min(mark.column, len(lines[line])) if mark else 0
    message = f"not valid YAML: {_WORDS.get(problem, problem)}"
    return Diagnostic(Source(file, line + 1, column + 1), message, _hint(error, problem, lines, line))


def _hint(error: Any, problem: str, lines: Sequence[str], line: int) -> str:
    """An unquoted expression is the likely cause where one stands before the place in question."""
    begun = getattr(error, "context_mark", None)
    first = max(line - 1, 0) if begun is None else max(min(begun.line, line), line - 20)
    if any(_is_bare_expression(text) for text in lines[first : line + 1]):
        return QUOTE
    return _HINTS.get(problem, "")


def _is_bare_expression(text: str) -> bool:
    start = text.find("${")
    return start >= 0 and not text[:start].rstrip().endswith(("'", '"'))
