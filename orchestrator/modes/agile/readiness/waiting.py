"""Waiting for something on a cluster: when to look again, and what is told meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from orchestrator.model.address import Address
from orchestrator.model.outcome import Progress, Report

_FIRST, _EVERY = 0.5, 2.0  # seconds before reasons are looked up, and between two times: that costs requests


class WaitEndedError(Exception):
    """Waiting was ended because the driver is being closed."""


def beats(seconds: float, closing: threading.Event) -> Iterator[bool]:
    """Moments to look again, the first at once; True for the last. Raises WaitEndedError when the driver is closed."""
    end, pause = time.monotonic() + seconds, 0.05
    while True:
        left = end - time.monotonic()
        yield left <= 0
        if left <= 0:
            return
        if closing.wait(min(pause, left)):
            raise WaitEndedError
        pause = min(pause * 1.6, 2.0)


class Teller:
    """Tells why one thing is waited for, each reason once; `told` is the last."""

    def __init__(self, address: Address, report: Report, scrub: Callable[[str], str]) -> None:
        self._address = address
        self._report = report
        self._scrub = scrub
        self._due = time.monotonic() + _FIRST
        self.told = ""

    def is_due(self) -> bool:
        """Whether it is time to look up the reason."""
        return time.monotonic() >= self._due

    def tell(self, why: str) -> None:
        """Say why, if it is another reason than before."""
        self._due = time.monotonic() + _EVERY
        why = self._scrub(why)
        if why != self.told:
            self.told = why
            self._report(Progress(self._address, f"waiting: {why}"))
