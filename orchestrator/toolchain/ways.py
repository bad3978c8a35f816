"""What the ways of getting a program share: how one says that it did not work."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"://[^/@\s]+@")


class WayFailed(Exception):  # noqa: N818  (not an error of its own: the next way is tried)
    """One way of getting a program did not work; the message says why, for a person."""

    def __init__(self, why: str) -> None:
        super().__init__(without_credentials(why))


def without_credentials(text: str) -> str:
    """The text with the user and password of every URL in it masked."""
    return _CREDENTIALS.sub("://***@", text)
