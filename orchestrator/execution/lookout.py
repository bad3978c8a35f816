"""Looking again whenever something may have changed: at once where a driver can watch, now and then where it cannot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from orchestrator.execution.stop import Stop
from orchestrator.execution.world import World
from orchestrator.model.observation import Observed, Tally
from orchestrator.model.record import Record
from orchestrator.model.unit import Unit
from orchestrator.modes.driver import Driver

_TOGETHER = 0.1  # seconds in which changes that come together are waited for
_BEAT = 0.25  # seconds after which a wish to stop is noticed


class Lookout:
    """A world whose drivers are asked again only when that may tell something new.

    every  seconds after which each is asked anyway: the only way to see what changes where a mode cannot watch
    """

    def __init__(self, world: World, every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wake = threading.Event()
        self._drivers = [_Remembering(driver, every, clock, self._wake) for driver in world.drivers.values()]
        drivers = {key: cast(Driver, one) for key, one in zip(world.drivers, self._drivers, strict=True)}
        self.world = replace(world, drivers=drivers)

    def begin(self) -> bool:
        """Watch where that is possible, once everything has been looked at; whether it is possible everywhere."""
        can = [one.begin() for one in self._drivers]
        return all(can)

    def wait(self, stop: Stop) -> bool:
        """Return when it is time to look again; False where it was asked to stop before."""
        while not stop.asked:
            left = min((one.due for one in self._drivers), default=float("inf")) - self._clock()
            if left <= 0:
                stop.wait(_TOGETHER)
                return not stop.asked
            self._wake.wait(min(left, _BEAT))
            self._wake.clear()
        return False


class _Remembering:
    """A driver that gives its last answer again until that is due."""

    def __init__(self, driver: Driver, every: float, clock: Callable[[], float], wake: threading.Event) -> None:
        self._driver = driver
        self._every = every
        self._clock = clock
        self._wake = wake
        self._asked: tuple[Sequence[Unit], Sequence[Record]] | None = None
        self._answer = Observed({})
        self.due = float("-inf")

    def begin(self) -> bool:
        return self._driver.watch(self._changed)

    def observe(self, units: Sequence[Unit], known: Sequence[Record]) -> Observed:
        """See `Driver.observe`."""
        if self._clock() < self.due and self._asked == (units, known):
            return replace(self._answer, tally=Tally())
        self.due = self._clock() + self._every  # first: what changes while it looks is due again
        self._answer = self._driver.observe(units, known)
        self._asked = units, known
        return self._answer

    def _changed(self) -> None:
        self.due = float("-inf")
        self._wake.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)
