"""Watching a cluster: one watch for each kind, which tells that something of ours has changed, not what.

What it means is for the next look to say: there is one place that compares. A watch begins with a list, goes on from
its resource version (bookmarks keep that fresh), lists again where that has become too old (410), and comes back by
itself, less and less often, to a cluster that does not answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from orchestrator.modes.agile.client.api import Api, RefusedError, UnreachedError
from orchestrator.modes.agile.client.discovery import Kinds
from orchestrator.modes.agile.objects import Object, metadata
from orchestrator.modes.agile.readiness.rules import readiness

_LASTS = 240  # seconds after which the server ends a watch, and it is begun again where it was
_FIRST, _MOST = 0.25, 30.0  # seconds between tries
# What the API server counts and notes; a change of nothing else is none.
_BOOKKEEPING = ("resourceVersion", "managedFields", "generation")


class Watch:
    """Watches kinds until it is closed; `changed` is called from its threads."""

    def __init__(self, api: Api, kinds: Kinds, selector: str, changed: Callable[[], None]) -> None:
        self._api = api
        self._kinds = kinds
        self._selector = selector
        self._changed = changed
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._followed: dict[tuple[str, str], _Followed] = {}

    def cover(self, places: Mapping[str, Iterable[str]]) -> None:
        """Begin with the kinds that are not watched yet; `places` has their namespaces, for who may not see all."""
        for kind, namespaces in places.items():
            self._begin(kind, "", tuple(sorted(set(namespaces) - {""})))

    def close(self) -> None:
        """End all watches."""
        self._closing.set()
        with self._lock:
            followed = list(self._followed.values())
        for one in followed:
            one.end()

    def _begin(self, kind: str, namespace: str, instead: tuple[str, ...]) -> None:
        with self._lock:
            if self._closing.is_set() or (kind, namespace) in self._followed:
                return
            one = self._followed[kind, namespace] = _Followed()
        run = threading.Thread(
            target=self._follow, args=(one, kind, namespace, instead), daemon=True, name=f"watch {kind} {namespace}"
        )
        run.start()

    def _follow(self, one: _Followed, kind: str, namespace: str, instead: tuple[str, ...]) -> None:
        tries = 0
        while not self._closing.is_set():
            try:
                served = self._kinds.find(kind)
                if served is not None:
                    self._once(one, served.collection(namespace))
                    tries = 0
                    continue
                self._kinds.expire()
            except UnreachedError:
                if tries == 0:
                    self._changed()  # the next look says what is the matter
            except RefusedError as refused:
                if refused.status == 403 and not namespace and instead:
                    for each in instead:
                        self._begin(kind, each, ())
                    return
                if refused.status == 410:
                    one.version = ""
                    continue
            self._closing.wait(random.uniform(0.5, 1) * min(_FIRST * 2**tries, _MOST))  # noqa: S311 - no secret
            tries += 1

    def _once(self, one: _Followed, path: str) -> None:
        """List where that is needed, then follow until the server ends it. Raises UnreachedError, RefusedError."""
        if not one.version:
            items, version = self._api.snapshot(path, labelSelector=self._selector)
            if one.begin(items, version):
                self._changed()
        query = {"labelSelector": self._selector, "resourceVersion": one.version, "allowWatchBookmarks": "true"}

        def opened(response: Any) -> None:
            one.opened(response)
            if self._closing.is_set():  # between the question and its answer
                one.end()

        with contextlib.closing(self._api.watch(path, opened, timeoutSeconds=str(_LASTS), **query)) as events:
            for event in events:
                if self._closing.is_set():
                    return
                if one.is_new(event):
                    self._changed()


class _Followed:
    """What is known of one kind: up to which version, and each object's fingerprint."""

    def __init__(self) -> None:
        self.version = ""
        self._known: dict[str, str] | None = None
        self._response: Any = None

    def begin(self, items: Iterable[Object], version: str) -> bool:
        """Take a list; whether it differs from what was known before, as the first one may."""
        before, self._known = self._known, {_uid(item): _fingerprint(item) for item in items}
        self.version = version
        return before != self._known

    def is_new(self, event: Mapping[str, Any]) -> bool:
        """Take an event; whether it says more than the API server's own bookkeeping. Raises RefusedError for errors."""
        thing = event.get("object") or {}
        if event.get("type") == "ERROR":
            raise RefusedError(int(thing.get("code") or 500), str(thing.get("reason")), str(thing.get("message")))
        self.version = str(metadata(thing).get("resourceVersion") or self.version)
        if event.get("type") == "BOOKMARK":
            return False
        known = self._known if self._known is not None else {}
        if event.get("type") == "DELETED":
            return known.pop(_uid(thing), None) is not None
        now = _fingerprint(thing)
        before, known[_uid(thing)] = known.get(_uid(thing)), now
        return before != now

    def opened(self, response: Any) -> None:
        """The answer that is being read."""
        self._response = response

    def end(self) -> None:
        """End the reading, whatever it waits for."""
        with contextlib.suppress(Exception):
            self._response.shutdown()


def _uid(thing: Object) -> str:
    return str(metadata(thing).get("uid"))


def _fingerprint(thing: Object) -> str:
    """What a look would take from an object: all but bookkeeping, and of its status whether it is ready."""
    meta = {key: value for key, value in metadata(thing).items() if key not in _BOOKKEEPING}
    rest = {key: value for key, value in thing.items() if key not in ("metadata", "status")}
    state = readiness(thing)
    text = orjson.dumps([meta, rest, state.ready, state.because], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:32]
