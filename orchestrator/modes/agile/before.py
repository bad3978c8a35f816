"""What was not there a moment ago: one LIST of names instead of a GET for each of many objects that are to be made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change
from orchestrator.modes.agile.client.api import ONLY_METADATA, PAGE, Api, RefusedError
from orchestrator.modes.agile.client.discovery import Kinds
from orchestrator.modes.agile.objects import split_name

_FEWEST = 8  # objects of one kind and namespace, from which on a LIST costs less than their GETs
_SECONDS = 15.0  # how long its answer counts; later each object is looked at by itself


class Before:
    """Knows for the objects of a run which places were empty when it began."""

    def __init__(self, api: Api, kinds: Kinds, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._kinds = kinds
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], tuple[float, frozenset[str]]] = {}

    def look(self, changes: Iterable[Change]) -> None:
        """See which of the objects that are to be created are there. Raises UnreachedError."""
        coming: dict[tuple[str, str], int] = {}
        for change in changes:
            if change.action == Action.CREATE:
                place = change.address.kind, split_name(change.address.name)[0]
                coming[place] = coming.get(place, 0) + 1
        for place in [place for place, count in coming.items() if count >= _FEWEST]:
            now, names = self._clock(), self._names(*place)
            if names is not None:
                with self._lock:
                    self._seen[place] = now, names

    def was_empty(self, address: Address) -> bool:
        """Whether nothing was in an object's place, as far as that is known and still counts."""
        namespace, name = split_name(address.name)
        with self._lock:
            at, names = self._seen.get((address.kind, namespace), (float("-inf"), frozenset()))
        return self._clock() - at < _SECONDS and name not in names

    def _names(self, kind: str, namespace: str) -> frozenset[str] | None:
        """All names in one place; None where they are too many for one answer, or may not be read."""
        served = self._kinds.find(kind)
        if served is None:
            return None
        try:
            answer = self._api.get(served.collection(namespace), accept=ONLY_METADATA, limit=str(PAGE))
        except RefusedError:
            return None
        if (answer.get("metadata") or {}).get("continue"):
            return None
        return frozenset(str(item["metadata"]["name"]) for item in answer.get("items") or [])
