"""The signs of our output as plain ASCII, for terminals that cannot print them."""

from __future__ import annotations

import codecs

NAME = "orchestrator-plain"

_PLAIN = {
    "→": "->",
    "·": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "±": "+-",
    "✓": "ok",
    "✗": "x",
    "“": '"',
    "”": '"',
    "’": "'",
}


def register() -> str:
    """Make the codec error handler known; its name, for `stream.reconfigure(errors=...)`."""
    codecs.register_error(NAME, _instead)
    return NAME


def _instead(error: UnicodeError) -> tuple[str, int]:
    """Our signs in plain form, anything else as `\\uXXXX`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    piece = error.object[error.start : error.end]
    plain = "".join(_PLAIN.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in piece)
    return plain, error.end
