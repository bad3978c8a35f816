"""Ending a run in good order when a person or a supervisor asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether somebody has asked to stop: what runs is ended in order, nothing new is started."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def asked(self) -> bool:
        """Whether it was asked for."""
        return self._event.is_set()

    def ask(self) -> None:
        """Ask for it."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but not past the moment it is asked for; whether it was."""
        return self._event.wait(seconds)


@contextmanager
def stop_on_signals(stop: Stop, say: Callable[[str], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM asks to stop; a second SIGINT raises KeyboardInterrupt at once."""

    def first(number: int, _: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.ask()
        say("Stopping: waiting for the steps under way; nothing new is started. Once more to end them now.")

    before = {number: signal.signal(number, first) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
