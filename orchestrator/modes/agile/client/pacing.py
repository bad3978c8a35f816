"""Obeying an API server that asks to be left alone for a while (429, 503): all wait, not only who was told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

BUSY = (429, 503)
PATIENCE = 60.0  # seconds that one request waits in all before its target counts as one that does not answer
_FIRST, _MOST = 0.25, 8.0  # seconds between tries where the server does not say how long


class EndedError(Exception):
    """It was waited while the driver was being closed."""


class Pace:
    """When the next request may be sent to one API server."""

    def __init__(self, closing: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._closing = closing
        self._clock = clock
        self._lock = threading.Lock()
        self._until = 0.0

    def wait(self) -> None:
        """Return when a request may be sent. Raises EndedError where the driver is closed before."""
        while (left := self._until - self._clock()) > 0:
            if self._closing.wait(left):
                raise EndedError

    def slow_down(self, seconds: float) -> None:
        """Nobody sends anything for so long."""
        with self._lock:
            self._until = max(self._until, self._clock() + seconds)


def asked_for(headers: Mapping[str, str], tries: int) -> float:
    """Seconds to wait after an answer: what it says, or longer each time where it says nothing."""
    given = headers.get("Retry-After", "")
    if given.isdigit():  # the other form, a date, is not what API servers send
        return float(given)
    return float(min(_FIRST * 2**tries, _MOST))
