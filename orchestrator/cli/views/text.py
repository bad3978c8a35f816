"""Text for terminals: made harmless, measured as it is displayed, aligned, wrapped, coloured."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from orchestrator.model.values import MASK, UNKNOWN, Secret, Unknown, Value, has_secret, masked

RED, GREEN, YELLOW, MAGENTA, CYAN, BOLD, DIM = "31", "32", "33", "35", "36", "1", "2"

# Control characters could move the cursor or recolour the terminal; the others reorder or break what is read.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_UNSAFE_BUT_LINES = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}

NOTHING = "(none)"
LONGEST_VALUE = 60


def clean(text: str, *, keep_lines: bool = False) -> str:
    """The text with everything that could play tricks on a terminal spelt out, as `\\x1b`."""
    return (_UNSAFE_BUT_LINES if keep_lines else _UNSAFE).sub(_spelt, text)


def _spelt(found: re.Match[str]) -> str:
    sign = found[0]
    code = ord(sign)
    return _SHORT.get(sign) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def painted(text: str, style: str, colour: bool) -> str:
    """The text in a colour (or bold, dim), where colours are wanted."""
    return f"\x1b[{style}m{text}\x1b[0m" if colour and text else text


def width_of(text: str) -> int:
    """How many columns a terminal takes for the text."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    return len(text) + wide - sum(unicodedata.combining(sign) != 0 for sign in text)


def padded(text: str, width: int) -> str:
    """The text filled with spaces up to a width in columns."""
    return text + " " * (width - width_of(text))


def cut(text: str, width: int) -> str:
    """The text, its end replaced by `…` where it is wider than `width` columns."""
    if width_of(text) <= width:
        return text
    while text and width_of(text) > width - 1:
        text = text[:-1]
    return text + "…"


def cut_middle(text: str, width: int) -> str:
    """The text, its middle replaced by `…` where it is wider: of a path both ends tell the most."""
    if width_of(text) <= width:
        return text
    head = (width - 1) // 3
    return text[:head] + "…" + text[-(width - 1 - head) :]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Aligned columns, two spaces between them; the last one is as wide as it is."""
    lines = [list(head), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(width_of(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(padded(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken at spaces; a longer word is left whole, so that it can be copied."""
    lines: list[str] = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if width_of(joined) <= width or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def shown(value: Value) -> str:
    """A value in a line: as JSON, secrets masked, what is not there as `(none)`, cut where it is long."""
    if value is None:
        return NOTHING
    if isinstance(value, Secret | Unknown) or value in (MASK, UNKNOWN):
        return str(value)
    return cut(clean(_json(value)), LONGEST_VALUE)


def is_short(value: Value) -> bool:
    """Whether `shown` shows all of it, and it is no map and no list."""
    return not isinstance(value, dict | list) and len(_json(value)) <= LONGEST_VALUE


def _json(value: Value) -> str:
    return json.dumps(masked(value), ensure_ascii=False, default=str)


def veiled(old: Value, new: Value) -> tuple[Any, Any]:
    """Two sides of a difference as plain data: what is secret on one side is masked on the other as well."""
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = {key: veiled(old.get(key), new.get(key)) for key in {**old, **new}}
        return {k: pairs[k][0] for k in old}, {k: pairs[k][1] for k in new}
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        both = [veiled(a, b) for a, b in zip(old, new, strict=True)]
        return [a for a, _ in both], [b for _, b in both]
    if has_secret(old) or has_secret(new):
        return (None if old is None else MASK), (None if new is None else MASK)
    return masked(old), masked(new)


def counted(count: int, word: str, plural: str = "") -> str:
    """`1 site`, `2 sites`."""
    return f"{count} {word if count == 1 else plural or word + 's'}"


def duration(seconds: float) -> str:
    """`0.6 s`, `14.2 s`, `2 min 5 s`, `1 h 3 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
