"""Label selectors as they are typed on a command line; what they pick is told by documents/selecting.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NoReturn

from pydantic import ValidationError

from orchestrator.documents.models import Requirement, Selector
from orchestrator.documents.selecting import matches
from orchestrator.errors import UsageError

__all__ = ["matches", "parse"]

_WANTED = "write it as tier=edge, env!=dev, 'env in (dev, test)', 'env notin (dev)', gpu or '!gpu', joined by commas"
_SET = re.compile(r"(?P<key>[^\s,()=!]+)\s+(?P<word>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUAL = re.compile(r"(?P<key>[^\s,()=!]+)\s*(?P<sign>==|=|!=)\s*(?P<value>[^\s,()=!]*)")
_THERE = re.compile(r"(?P<no>!?)\s*(?P<key>[^\s,()=!]+)")


def parse(text: str) -> Selector:
    """A selector as typed on a command line, in kubectl's form. Raises UsageError."""
    lines: list[Requirement] = []
    at = 0
    while True:
        at += len(text[at:]) - len(text[at:].lstrip())
        found = next((match for form in (_SET, _EQUAL, _THERE) if (match := form.match(text, at))), None)
        if found is None:
            _refuse(text, "it has an empty part" if text[at:][:1] in ("", ",") else f"`{text[at:][:40]}` is not clear")
        lines.append(_line(text, found.groupdict()))
        rest = text[found.end() :].lstrip()
        if not rest:
            return Selector(match_expressions=tuple(lines))
        if rest[0] != ",":
            _refuse(text, f"`{rest[:40]}` is not clear")
        at = len(text) - len(rest) + 1


def _line(text: str, parts: Mapping[str, str]) -> Requirement:
    values: tuple[str, ...] = ()
    if "word" in parts:
        operator = "In" if parts["word"] == "in" else "NotIn"
        values = tuple(value.strip() for value in parts["values"].split(","))
    elif "sign" in parts:
        operator = "NotIn" if parts["sign"] == "!=" else "In"
        values = (parts["value"],)
    else:
        operator = "DoesNotExist" if parts["no"] else "Exists"
    try:
        return Requirement.model_validate({"key": parts["key"], "operator": operator, "values": values})
    except ValidationError:
        _refuse(text, f"`{parts['key'][:80]}` is not a label's key")


def _refuse(text: str, why: str) -> NoReturn:
    raise UsageError(f"`{text[:80]}` is not a label selector: {why}", hint=_WANTED)
