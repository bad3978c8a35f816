"""Sites that are to be visited before their turn, as something at them has changed; who keeps changing waits longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_SHORTEST = 1.0  # seconds between a visit that has changed something and the next one out of turn
_CALM = 60.0  # seconds without such a visit after which the next one is at once again


class Bell:
    """Rung from any thread. Two managers that undo each other's work would else do so as fast as they can.

    longest  seconds that a site waits at most: it has its turn by then anyway
    """

    def __init__(self, longest: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest = longest
        self._clock = clock
        self._lock = threading.Lock()
        self._rung: set[str] = set()
        self._changed: dict[str, tuple[float, float]] = {}  # when a visit changed something, seconds to wait since

    def ring(self, site: str) -> None:
        """Something at a site has changed."""
        with self._lock:
            self._rung.add(site)

    def due(self) -> list[str]:
        """The sites that were rung for and may be visited; they are so no more."""
        with self._lock:
            now = self._clock()
            found = sorted(site for site in self._rung if sum(self._changed.get(site, (float("-inf"), 0.0))) <= now)
            self._rung -= set(found)
            return found

    def visited(self, site: str, *, changed: bool) -> None:
        """A visit has ended, and has changed something or not."""
        with self._lock:
            if changed:
                at, pause = self._changed.get(site, (float("-inf"), 0.0))
                again = self._clock() - at < _CALM + pause
                self._changed[site] = self._clock(), min(pause * 2, self._longest) if again else _SHORTEST
