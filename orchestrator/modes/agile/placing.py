"""Where what an API server refuses was written: its line in a manifest, a template or a blueprint. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.model.unit import Unit
from orchestrator.modes.agile.diff import fields
from orchestrator.modes.agile.objects import manifest_of

_STEP = re.compile(r"\.?([^.\[\]]+)|\[([^\]]*)\]")
_KEY = re.compile(r'([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^,]+)')

Step = str | int | Mapping[str, Any]


def place(unit: Unit, field: str) -> str:
    """`file:line:column` of a field as the API server names it; empty where it has no place, or is not ours."""
    path = tuple(_path(manifest_of(unit), _steps(field)))
    return str(unit.at(path)) if path and unit.at is not None else ""


def _steps(field: str) -> tuple[Step, ...]:
    """The way to it: names, indices, and the keys of items."""
    return tuple(name or _inside(brackets) for name, brackets in _STEP.findall(field))


def _inside(brackets: str) -> Step:
    """What is in brackets: an item's index, its keys, or a name with dots."""
    if brackets.isdigit():
        return int(brackets)
    try:
        keys = {name: json.loads(value) for name, value in _KEY.findall(brackets)}
    except ValueError:
        keys = {}
    return keys or brackets


def _path(declared: Any, way: tuple[Step, ...]) -> Iterator[str | int]:
    """As much of the way as is declared, keys of items as their indices."""
    for step in way:
        if isinstance(step, str) and isinstance(declared, Mapping) and step in declared:
            declared = declared[step]
            yield step
            continue
        if not isinstance(declared, list | tuple) or isinstance(step, str):
            return
        index = step if isinstance(step, int) else _index(declared, step)
        if index is None or index >= len(declared):
            return
        declared = declared[index]
        yield index


def _index(items: list[Any] | tuple[Any, ...], keys: Mapping[str, Any]) -> int | None:
    return next((index for index, item in enumerate(items) if fields.matches(item, keys)), None)
