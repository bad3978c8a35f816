"""An object as it will be after an apply: what lives, and over it what is declared. Values of a Secret are secret."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from orchestrator.model.values import Secret, Unknown, Value

SECRET = "Secret"  # noqa: S105 - the kind


def expected(kind: str, name: str, live: Mapping[str, Any], declared: Mapping[str, Value]) -> dict[str, Value]:
    """What expressions may read of an object: so that what an apply changes is known before it does.

    Of a Secret, `data` has its values as they are, `stringData` as text, where they are text.
    """
    if kind != SECRET:
        return dict(_overlaid(live, declared))
    plain = {key: value for key, value in declared.items() if key not in ("data", "stringData")}
    found = _overlaid({key: value for key, value in live.items() if key not in ("data", "stringData")}, plain)
    data = dict(_mapping(live.get("data"))) | dict(_mapping(declared.get("data")))
    texts = dict(_mapping(declared.get("stringData")))
    label = f"Secret {name}"
    decoded = {key: _decoded(value, label) for key, value in data.items()}
    decoded |= {key: _secret(value, label) for key, value in texts.items()}
    encoded = {key: _secret(value, label) for key, value in data.items()}
    encoded |= {key: _encoded(value, label) for key, value in texts.items()}
    return {
        **found,
        "data": encoded,
        "stringData": {key: value for key, value in decoded.items() if value is not None},
    }


def _overlaid(live: Any, declared: Any) -> Any:
    """The declared value where it is known and plain; of maps and lists of one length, part by part."""
    if isinstance(live, Mapping) and isinstance(declared, Mapping):
        more = {key: value for key, value in declared.items() if key not in live and _is_plain(value)}
        both = {key: _overlaid(value, declared.get(key)) for key, value in live.items()}
        return both | more
    if isinstance(live, list) and isinstance(declared, list | tuple) and len(live) == len(declared):
        return [_overlaid(*pair) for pair in zip(live, declared, strict=True)]
    return declared if _is_plain(declared) and declared is not None else live


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return not isinstance(value, Secret | Unknown)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _secret(value: Any, label: str) -> Value:
    if isinstance(value, Unknown):
        return Unknown("string", value.needs, secret=True)
    return value if isinstance(value, Secret) else Secret(value, label)


def _text_of(value: Any) -> str:
    return str(value.reveal() if isinstance(value, Secret) else value)


def _encoded(value: Any, label: str) -> Value:
    if isinstance(value, Unknown):
        return _secret(value, label)
    return Secret(base64.b64encode(_text_of(value).encode()).decode(), label)


def _decoded(value: Any, label: str) -> Value:
    """None for what is no text."""
    if isinstance(value, Unknown):
        return _secret(value, label)
    try:
        return Secret(base64.b64decode(_text_of(value), validate=True).decode(), label)
    except (binascii.Error, UnicodeDecodeError):
        return None
