"""Drivers that stay behind after a visit to watch: what they see change rings for the site's next visit.

Each visit has drivers of its own, as documents and credentials may have changed. One of them stays on watch until
another has to take its place: there are other kinds to watch, the site's document has changed, or it is old.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field

from orchestrator.documents.loaded import Loaded
from orchestrator.errors import DriverError
from orchestrator.model.address import Mode
from orchestrator.model.change import Plan
from orchestrator.modes.driver import Driver

_LASTS = 900.0  # seconds; credentials that a kubeconfig file holds change without anybody telling


@dataclass(frozen=True, slots=True)
class _Sentry:
    driver: Driver
    watches: Hashable
    since: float


@dataclass(slots=True)
class Post:
    """One visit to a site, or to several that are visited together as `group`."""

    sentries: Sentries
    group: str
    _watched: dict[str, Hashable] = field(default_factory=dict)

    def saw(self, loaded: Loaded, plan: Plan) -> None:
        """What there is to watch at each site."""
        agile = [change.address for change in plan.changes if change.address.mode == Mode.AGILE]
        for site in {address.site for address in agile} & set(loaded.sites):
            kinds = frozenset((address.kind, address.name.rpartition("/")[0]) for address in agile)
            self._watched[site] = loaded.sites[site].model.model_dump_json(), kinds

    def end(self, site: str, mode: Mode, driver: Driver) -> None:
        """The visit ends: the driver stays to watch, or is closed."""
        watches = self._watched.get(site) if mode == Mode.AGILE else None
        if watches is None or not self.sentries.take(self.group, site, driver, watches):
            driver.close()


class Sentries:
    """Those of all sites. `ring` is called, from other threads, with the group of a site at which something changed."""

    def __init__(self, ring: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._ring = ring
        self._clock = clock
        self._lock = threading.Lock()
        self._standing: dict[tuple[str, str], _Sentry] = {}

    def post(self, group: str) -> Post:
        """For one visit."""
        return Post(self, group)

    def take(self, group: str, site: str, driver: Driver, watches: Hashable) -> bool:
        """Let a driver watch in the place of the one that does; False where that one can stay, or this one cannot."""
        with self._lock:
            before = self._standing.get((group, site))
        if before is not None and before.watches == watches and self._clock() - before.since < _LASTS:
            return False
        try:
            if not driver.watch(lambda: self._ring(group)):
                return False
        except DriverError:  # the visit has told
            return False
        with self._lock:
            self._standing[group, site] = _Sentry(driver, watches, self._clock())
        if before is not None:
            before.driver.close()
        return True

    def keep_only(self, groups: Collection[str]) -> None:
        """Dismiss those of sites that are not visited any more."""
        with self._lock:
            gone = [key for key in self._standing if key[0] not in groups]
            dismissed = [self._standing.pop(key) for key in gone]
        for one in dismissed:
            one.driver.close()

    def close(self) -> None:
        """Dismiss all."""
        self.keep_only(())
