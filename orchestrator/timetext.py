"""Durations as people say them."""

from __future__ import annotations

_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def ago(seconds: float) -> str:
    """`12 s ago`, `2 min ago`, `3 h ago`, `4 d ago`; `just now` for less than a second."""
    if seconds < 1:
        return "just now"
    for name, size in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {name} ago"
    return f"{int(seconds)} s ago"
