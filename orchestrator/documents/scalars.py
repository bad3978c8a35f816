"""YAML 1.2's core schema: which type a plain scalar has. `NO` and `1:30` are texts, `0o640` is a number."""

from __future__ import annotations

import math
import re
from typing import Any

_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_NUMERIC = frozenset("0123456789+-.")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_LEGACY_OCTAL = re.compile(r"[-+]?0[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_DIGITS = 400  # longer ones are beyond 64 bits anyway, and reading them takes long

_CORE = "tag:yaml.org,2002:"
TAGS = frozenset(_CORE + name for name in ("str", "int", "float", "bool", "null", "map", "seq"))


class BadScalar(ValueError):  # noqa: N818 - its message becomes a diagnostic
    """A scalar that cannot be taken as it is written: what is wrong with it, and what would be right."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def plain(text: str, *, legacy_octal: bool = False) -> Any:
    """The value of an unquoted scalar. Raises BadScalar.

    A leading zero means octal to Kubernetes' own YAML reader and nothing to YAML 1.2: with `legacy_octal` (manifests)
    it is octal, otherwise it is refused.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    if _INTEGER.fullmatch(text):
        return _decimal(text, legacy_octal)
    if _OCTAL.fullmatch(text):
        return _sized(text, 8)
    if _HEXADECIMAL.fullmatch(text):
        return _sized(text, 16)
    if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        return _finite(text)
    return text


def tagged(tag: str, text: str, *, is_plain: bool, legacy_octal: bool = False) -> Any:
    """The value of a scalar that bears one of the core tags. Raises BadScalar."""
    kind = tag.removeprefix(_CORE)
    if kind == "str":
        return text
    value = plain(text, legacy_octal=legacy_octal) if text or is_plain else text
    if kind == "float" and type(value) is int:
        return float(value)
    fits = {"int": int, "float": float, "bool": bool, "null": type(None)}.get(kind)
    if fits is None or type(value) is not fits:
        raise BadScalar(f"`{text[:40]}` is not what its tag `!!{kind}` says", "leave the tag out")
    return value


def _decimal(text: str, legacy_octal: bool) -> int:
    digits = text.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0":
        if not (legacy_octal and _LEGACY_OCTAL.fullmatch(text)):
            octal = set(digits) <= set("01234567")
            hint = (
                f'write 0o{digits.lstrip("0") or "0"} for an octal number, or quote it: "{text}"'
                if octal
                else "quote it"
            )
            raise BadScalar(f"the number {text[:40]} begins with a zero", hint)
        return _sized(text, 8)
    return _sized(text, 10)


def _sized(text: str, base: int) -> int:
    value = int(text, 0 if text[:2] in ("0x", "0o") else base) if len(text) < _DIGITS else 1 << 64
    if not -(1 << 63) <= value < (1 << 64):
        raise BadScalar(f"the number {text[:40]} does not fit into 64 bits", "quote it if it is a text")
    return value


def _finite(text: str) -> float:
    value = float(
        text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").replace(".n", "n").replace(".N", "n")
    )
    if not math.isfinite(value):
        raise BadScalar(f"{text[:40]} is not a finite number", "quote it if it is a text")
    return value
