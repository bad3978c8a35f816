"""The types of parameters and outputs, of expressions, and of plain values; and which fits where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.model.values import Secret, Unknown, Value

ANY = "any"
_OF_PYTHON: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "list",
    tuple: "list",
    dict: "map",
}
_WORDS = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "list": "a list",
    "map": "a map",
    "machine": "a machine",
    "null": "null",
    ANY: "anything",
}


def type_of(value: Value) -> str:
    """A value's type by the name that parameters use; `any` for what is not known and untyped, `null` for none."""
    if isinstance(value, Secret):
        return type_of(value.value)
    if isinstance(value, Unknown):
        return "string" if value.type == "secret" else value.type
    return "null" if value is None else _OF_PYTHON.get(type(value), ANY)


def fits(expected: str, given: str) -> bool:
    """Whether a value of type `given` may stand where `expected` is declared."""
    if expected == ANY or given in (ANY, expected):
        return True
    return (expected, given) in (("number", "integer"), ("secret", "string"))


def words(kind: str) -> str:
    """A type in a sentence: `a string`, `an integer`."""
    return _WORDS.get(kind, f"a {kind}")


def printed(value: Any) -> str | None:
    """A plain value inside of a longer text; None for what has no one form there."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return None
