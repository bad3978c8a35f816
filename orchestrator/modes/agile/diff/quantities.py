"""Kubernetes quantities: `1` is `1000m`, `1Gi` is `1024Mi`. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

_FORM = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(?:(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE])|[eE]([+-]?\d+))?$")
_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}

# Names of fields below which (or as which) values are quantities.
_FIELDS = frozenset(
    (
        "limits",
        "requests",
        "capacity",
        "allocatable",
        "hard",
        "sizeLimit",
        "storage",
        "cpu",
        "memory",
        "divisor",
        "averageValue",
        "default",
        "defaultRequest",
        "max",
        "min",
        "maxLimitRequestRatio",
        "overhead",
    )
)


def quantity(value: Any) -> Decimal | None:
    """The number that a quantity stands for; None for what is none."""
    if isinstance(value, bool):
        return None
    found = _FORM.match(str(value)) if isinstance(value, int | float | str) else None
    if found is None:
        return None
    number, suffix, exponent = found.groups()
    if suffix in _BINARY:
        return Decimal(number) * Decimal(1024 ** (_BINARY.index(suffix) + 1))
    return Decimal(number).scaleb(int(exponent) if exponent else _DECIMAL.get(suffix or "", 0))


def is_quantity(path: Sequence[str]) -> bool:
    """Whether the value of a field is a quantity."""
    return any(part in _FIELDS for part in path[-3:])


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same quantity."""
    left, right = quantity(one), quantity(other)
    return left is not None and left == right
