"""Pulumi's properties on the wire, as plain data and back, with the places that hold secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - Pulumi's mark, no secret itself
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

Path = tuple[str | int, ...]


def plain(struct: Any) -> tuple[dict[str, Any], set[Path]]:
    """The properties with secrets in clear, and where these are."""
    secret: set[Path] = set()
    data = _plain(json_format.MessageToDict(struct), (), secret)
    return (data if isinstance(data, dict) else {}), secret


def _plain(value: Any, path: Path, secret: set[Path]) -> Any:
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            secret.add(path)
            return _plain(value.get("value"), path, secret)
        return {key: _plain(inner, (*path, key), secret) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, (*path, index), secret) for index, inner in enumerate(value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def struct(data: Mapping[str, Any], secret: set[Path]) -> Any:
    """Properties for the wire, marked as secret where these paths lead."""
    made = struct_pb2.Struct()
    made.update({key: _marked(value, (key,), secret) for key, value in data.items()})
    return made


def _marked(value: Any, path: Path, secret: set[Path]) -> Any:
    if path in secret:
        return {_SIGNATURE: _SECRET, "value": value}
    if isinstance(value, dict):
        return {key: _marked(inner, (*path, key), secret) for key, inner in value.items()}
    if isinstance(value, list):
        return [_marked(inner, (*path, index), secret) for index, inner in enumerate(value)]
    return value


def has_unknown(value: Any) -> bool:
    """Whether something in it is not known yet."""
    if isinstance(value, dict):
        return any(has_unknown(inner) for inner in value.values())
    if isinstance(value, list):
        return any(has_unknown(inner) for inner in value)
    return bool(value == UNKNOWN)
