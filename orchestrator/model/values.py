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


def leaves(value: Value) -> Iterator[Value]:
    """All leaves of a value: scalars, secrets and unknowns."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def mapped(value: Value, change: Callable[[Value], Any]) -> Any:
    """The same value with `change` applied to each leaf."""
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

    def plain(leaf: Value) -> Any:
        if isinstance(leaf, Unknown):
            raise ValueError("a value that is not known yet cannot be handed to a target")
        return leaf.reveal() if isinstance(leaf, Secret) else leaf

    return mapped(value, plain)


def has_unknown(value: Value) -> bool:
    """Whether any leaf is not known yet."""
    return any(isinstance(leaf, Unknown) for leaf in leaves(value))


def has_secret(value: Value) -> bool:
    """Whether any leaf is secret, known or not."""
    return any(isinstance(leaf, Secret) or (isinstance(leaf, Unknown) and leaf.secret) for leaf in leaves(value))


def digest(value: Value, salt: str = "") -> str:
    """SHA-256 (first 32 hex digits) of the value's canonical JSON; an HMAC keyed with `salt` where it holds a secret.

    Raises ValueError on an unknown.
    """
    text = json.dumps(revealed(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if has_secret(value):
        return hmac.new(salt.encode(), text, hashlib.sha256).hexdigest()[:32]
    return hashlib.sha256(text).hexdigest()[:32]
