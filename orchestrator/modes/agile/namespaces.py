"""Namespaces that nobody declares: made and marked when manifests need them, removed when ours and empty."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from orchestrator.modes.agile import emptiness
from orchestrator.modes.agile.client.api import Api, RefusedError
from orchestrator.modes.agile.client.discovery import Kinds
from orchestrator.modes.agile.objects import ESTATE, MANAGED_BY, MANAGER, estate_of, metadata, stamp_of

_GONE_SECONDS = 60.0
_PAUSE = 0.2
_AT_ONCE = 16


def path_of(name: str) -> str:
    """Where a namespace is."""
    return f"/api/v1/namespaces/{name}"


class Namespaces:
    """Those of one site; several threads may use them. Nobody removes one while another is about to use it."""

    def __init__(self, api: Api, kinds: Kinds, estate_id: str, closing: threading.Event) -> None:
        self._api = api
        self._kinds = kinds
        self._estate_id = estate_id
        self._closing = closing
        self._lock = threading.Lock()
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._ending: set[str] = set()  # what we began to remove; their ends are waited for last, all at once

    @contextmanager
    def held(self, names: Iterable[str]) -> Iterator[None]:
        """Keep these from being removed."""
        with ExitStack() as stack:
            for name in sorted(set(names)):  # in one order: nobody waits for who waits for them
                stack.enter_context(self._turn(name))
            yield

    def ensure(self, names: Iterable[str]) -> dict[str, str]:
        """Make those that are missing, and mark them as ours -> why one cannot be used, by name.

        They are `held` by the caller. Raises UnreachedError.
        """
        troubles: dict[str, str] = {}
        for name in sorted(set(names)):
            try:
                self._until_gone([name])
                live = self._api.find(path_of(name))
                if live is None:
                    self._api.apply(path_of(name), _manifest(name, self._estate_id), force=False)
                elif metadata(live).get("deletionTimestamp"):
                    why = emptiness.what_blocks(live)
                    troubles[name] = f"namespace {name} is being deleted ({why}); apply again when it is gone"
            except RefusedError as refused:
                # Who may work in a namespace need not be allowed to see it; what is missing shows when it is used.
                if refused.status != 403:
                    troubles[name] = f"namespace {name}: {refused.message}"
        return troubles

    def remove_empty(self, names: Iterable[str]) -> None:
        """Remove those that we made and that hold nothing any more. `wait` waits until they are gone.

        One that is declared as an object of its own is not ours to remove here. Raises UnreachedError.
        """
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            list(pool.map(self._remove, sorted(set(names))))

    def wait(self) -> None:
        """Until what was removed is gone: an apply that follows at once would find it still ending.

        Raises UnreachedError.
        """
        self._until_gone(sorted(self._ending))

    def _remove(self, name: str) -> None:
        try:
            with self._turn(name):
                live = self._api.find(path_of(name))
                if live is None or estate_of(live) != self._estate_id or stamp_of(live) is not None:
                    return
                if metadata(live).get("deletionTimestamp") or next(
                    emptiness.contents(self._api, self._kinds, name), None
                ):
                    return
                self._api.delete(path_of(name), uid=str(metadata(live).get("uid")))
                with self._lock:
                    self._ending.add(name)
        except RefusedError as refused:
            if refused.status not in (403, 404, 409):
                raise

    def _until_gone(self, names: Iterable[str]) -> None:
        end = time.monotonic() + _GONE_SECONDS
        for name in names:
            if name not in self._ending:
                continue
            while self._api.find(path_of(name)) is not None and time.monotonic() < end:
                if self._closing.wait(_PAUSE):
                    return
            with self._lock:
                self._ending.discard(name)

    def _turn(self, name: str) -> threading.Lock:
        with self._lock:
            return self._turns[name]


def _manifest(name: str, estate_id: str) -> dict[str, object]:
    labels = {MANAGED_BY: MANAGER, ESTATE: estate_id}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
