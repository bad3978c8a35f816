"""Values of the desired state: plain JSON values, and the two kinds that are not plain: `Secret` and `Unknown`."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

MASK = "(secret)"
UNKNOWN = "(known later)"

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | Secret | Unknown | None"


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must not be seen: it prints, logs and serialises as `(secret)`.

    `value` is a plain scalar; `label` says where it came from (`env SHOP_DB_PASSWORD`) and may be shown.
    Anything computed from a secret is a secret.
    """

    value: Any = field(repr=False)
    label: str = ""

    def reveal(self) -> Any:
        """The plain value; only for handing it to the target."""
        return self.value

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that is not known yet: its type (a parameter type's name) and the addresses it comes from."""

    type: str = "any"
    needs: frozenset[str] = frozenset()
    secret: bool = False

    def __str__(self) -> str:
        return MASK if self.secret else UNKNOWN


_SCALARS = frozenset((str, int, float, bool, type(None)))


def leaves(value: Value) -> Iterator[Value]:
    """All leaves of a value: scalars, secrets and unknowns."""
    if type(value) in _SCALARS:  # most values; asking whether a text is a Mapping takes much longer
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def _special(value: Value) -> Iterator[Any]:
    """The leaves that are no plain scalars: quick where there are none, as every plan asks this of every object."""
    if type(value) in _SCALARS:
        return
    if isinstance(value, Mapping):
        for inner in value.values():
            if type(inner) not in _SCALARS:
                yield from _special(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            if type(inner) not in _SCALARS:
                yield from _special(inner)
    else:
        yield value


def unknown_in(value: Value) -> list[Unknown]:
    """The leaves that are not known yet."""
    return [leaf for leaf in _special(value) if isinstance(leaf, Unknown)]


def mapped(value: Value, change: Callable[[Value], Any]) -> Any:
    """The same value with `change` applied to each leaf."""
    if type(value) in _SCALARS:
        return change(value)
    if isinstance(value, Mapping):
        return {key: mapped(inner, change) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [mapped(inner, change) for inner in value]
    return change(value)


def masked(value: Value) -> Any:
    """Plain JSON data with every secret and unknown replaced by its placeholder text."""
    return mapped(value, lambda leaf: str(leaf) if isinstance(leaf, Secret | Unknown) else leaf)


def revealed(value: Value) -> Any:
    """Plain JSON data with every secret in clear; only for the target. Raises ValueError on an unknown."""
    return mapped(value, _revealed)


def _revealed(leaf: Value) -> Any:
    if isinstance(leaf, Unknown):
        raise ValueError("a value that is not known yet cannot be handed to a target")
    return leaf.reveal() if isinstance(leaf, Secret) else leaf


def has_unknown(value: Value) -> bool:
    """Whether any leaf is not known yet."""
    return any(isinstance(leaf, Unknown) for leaf in _special(value))


def has_secret(value: Value) -> bool:
    """Whether any leaf is secret, known or not."""
    return any(isinstance(leaf, Secret) or (isinstance(leaf, Unknown) and leaf.secret) for leaf in _special(value))


def digest(value: Value, salt: str = "") -> str:
    """SHA-256 (first 32 hex digits) of the value's canonical JSON; an HMAC keyed with `salt` where it holds a secret.

    Raises ValueError on an unknown.
    """
    secret = False

    def plain(leaf: Any) -> Any:  # called for what is no plain JSON data
        nonlocal secret
        if isinstance(leaf, Mapping):
            return dict(leaf)
        if not isinstance(leaf, Secret | Unknown):
            raise TypeError(f"{type(leaf).__name__} is no JSON data")
        secret = True
        return _revealed(leaf)

    encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=plain)
    text = encoder.encode(value).encode()
    return (hmac.new(salt.encode(), text, hashlib.sha256) if secret else hashlib.sha256(text)).hexdigest()[:32]
