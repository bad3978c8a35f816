"""What the ways of getting a program share: how one says that it did not work."""

from __future__ import annotations


class WayFailed(Exception):  # noqa: N818  (not an error of its own: the next way is tried)
    """One way of getting a program did not work; the message says why, for a person."""
