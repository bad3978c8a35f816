"""Namespaces that nobody declares: made and marked when manifests need them, removed when ours and empty."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from orchestrator.modes.agile import emptiness
from orchestrator.modes.agile.api import Api, RefusedError
from orchestrator.modes.agile.discovery import Kinds
from orchestrator.modes.agile.objects import ESTATE, MANAGED_BY, MANAGER, estate_of, metadata, stamp_of

_GONE_SECONDS = 60.0
_AT_ONCE = 16


def path_of(name: str) -> str:
    """Where a namespace is."""
    return f"/api/v1/namespaces/{name}"


def ensure(api: Api, names: Iterable[str], estate_id: str) -> dict[str, str]:
    """Make the namespaces that are missing, and mark them as ours -> why one cannot be used, by name.

    Raises UnreachedError.
    """
    troubles: dict[str, str] = {}
    for name in sorted(set(names)):
        try:
            live = api.find(path_of(name))
            if live is None:
                api.apply(path_of(name), _manifest(name, estate_id), force=False)
            elif metadata(live).get("deletionTimestamp"):
                why = emptiness.what_blocks(live)
                troubles[name] = f"namespace {name} is being deleted ({why}); apply again when it is gone"
        except RefusedError as refused:
            # Who may work in a namespace need not be allowed to see it; what is missing shows when it is used.
            if refused.status != 403:
                troubles[name] = f"namespace {name}: {refused.message}"
    return troubles


def remove_empty(api: Api, kinds: Kinds, names: Iterable[str], estate_id: str) -> None:
    """Remove those of these namespaces that we made and that hold nothing any more, and wait until they are gone.

    One that is declared as an object of its own is not ours to remove here. Raises UnreachedError.
    """

    def remove(name: str) -> None:
        try:
            live = api.find(path_of(name))
            if live is None or estate_of(live) != estate_id or stamp_of(live) is not None:
                return
            if metadata(live).get("deletionTimestamp") or next(emptiness.contents(api, kinds, name), None):
                return
            api.delete(path_of(name), uid=str(metadata(live).get("uid")))
            _until_gone(api, name)
        except RefusedError as refused:
            if refused.status not in (403, 404, 409):
                raise

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        list(pool.map(remove, sorted(set(names))))


def _until_gone(api: Api, name: str) -> None:
    """An apply that follows at once would find it still ending."""
    end = time.monotonic() + _GONE_SECONDS
    while api.find(path_of(name)) is not None and time.monotonic() < end:
        time.sleep(0.1)


def _manifest(name: str, estate_id: str) -> dict[str, object]:
    labels = {MANAGED_BY: MANAGER, ESTATE: estate_id}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
