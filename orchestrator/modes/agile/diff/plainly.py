"""Whether a live object is plainly as declared: the same values, and nothing of ours beside them. Pure.

Nearly all objects of nearly all looks are. Where this says no, `compare` says what differs, if anything does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.model.values import Value

_SCALARS = frozenset((str, int, float, bool))


def is_plainly_as(wanted: Mapping[str, Value], live: Any, ours: Mapping[str, Any]) -> bool:
    """Whether each declared field is there with this very value, and none that we applied (`ours`) is declared no more.

    `ours` is the tree of our fields as the API server keeps it. False says nothing: values may be the same in
    another spelling.
    """
    if type(live) is not dict:
        return False
    for name, value in wanted.items():
        there = live.get(name)
        if type(value) in _SCALARS:
            if value != there or type(value) is not type(there):
                return False
        elif not _is_part(value, there, ours.get("f:" + name) or {}):
            return False
    return all(key[:2] != "f:" or key[2:] in wanted or key[2:] not in live for key in ours)


def _is_part(value: Value, there: Any, ours: Mapping[str, Any]) -> bool:
    if type(value) is dict:
        return is_plainly_as(value, there, ours)
    if type(value) is not list or type(there) is not list or len(value) != len(there):
        return False
    if not value or type(value[0]) in _SCALARS:
        return all(type(x) in _SCALARS and type(x) is type(y) and x == y for x, y in zip(value, there, strict=True))
    return all(_is_part(x, y, _of_item(ours, y)) for x, y in zip(value, there, strict=True))


def _of_item(ours: Mapping[str, Any], item: Any) -> Mapping[str, Any]:
    """Our fields of one item of a keyed list; all of a list that is not keyed are the list's manager's."""
    if type(item) is not dict:
        return {}
    for key, tree in ours.items():
        if key[:2] == "k:" and all(item.get(name) == value for name, value in json.loads(key[2:]).items()):
            return tree if isinstance(tree, Mapping) else {}
    return {}
