"""Watches: what they tell, where they go on, and how they come back; against a small server."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.modes.agile import watching
from orchestrator.modes.agile.client import kubeconfig
from orchestrator.modes.agile.client.api import Api
from orchestrator.modes.agile.client.connection import Connection
from orchestrator.modes.agile.client.discovery import Kinds
from orchestrator.modes.agile.watching import Watch
from tests.agile.servers import Answer, Authority, Request, page, serving, status

WAIT = 20.0


def config(name: str, version: str, **data: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "n", "uid": name, "resourceVersion": version}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def event(what: str, thing: dict[str, Any]) -> dict[str, Any]:
    return {"type": what, "object": thing}


class Cluster:
    """Answers lists with `items`, watches with what is put into `events`; None ends a watch."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = [config("a", "3", k="1")]
        self.version = "5"
        self.events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.refusals: list[Answer] = []
        self.lists: list[Request] = []
        self.watches: queue.Queue[Request] = queue.Queue()

    def answer(self, request: Request) -> Answer:
        if "watch" not in request.query:
            self.lists.append(request)
            return page(self.items, self.version)
        self.watches.put(request)
        return self.refusals.pop() if self.refusals else Answer(events=self.stream())

    def stream(self) -> Iterator[dict[str, Any]]:
        while (one := self.events.get()) is not None:
            yield one
            if one["type"] == "ERROR":
                return

    def watched(self) -> Request:
        """The next watch that is begun."""
        return self.watches.get(timeout=WAIT)


class Told:
    def __init__(self) -> None:
        self._count = threading.Semaphore(0)

    def __call__(self) -> None:
        self._count.release()

    def once(self) -> bool:
        return self._count.acquire(timeout=WAIT)

    @property
    def nothing(self) -> bool:
        return not self._count.acquire(blocking=False)


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Cluster, Told, Watch]]]:
    """A watch of ConfigMaps on a cluster of its own."""
    monkeypatch.setattr(watching, "_FIRST", 0.01)
    ends: list[Callable[[], None]] = []

    def begin(namespaces: tuple[str, ...] = (), refusals: tuple[Answer, ...] = ()) -> tuple[Cluster, Told, Watch]:
        ca, cluster, told = Authority(tmp_path), Cluster(), Told()
        cluster.refusals = list(refusals)
        server = serving(ca.pair("server"), cluster.answer)
        it = server.__enter__()
        connection = Connection(kubeconfig.read(it.kubeconfig(tmp_path / "k", ca.path), None, ()), tmp_path / "scratch")
        api = Api(connection)
        watch = Watch(api, Kinds(api, tmp_path / "scratch"), "estate=e", told)
        watch.cover({"ConfigMap": namespaces})
        ends.extend([watch.close, connection.close, lambda: cluster.events.put(None)])
        ends.append(lambda: server.__exit__(None, None, None))
        return cluster, told, watch

    yield begin
    for end in ends:
        end()


def test_a_watch_goes_on_from_its_list_and_tells_what_changes(begin: Callable[..., Any]) -> None:
    cluster, told, _ = begin()
    assert told.once()  # the first list: something may have changed since the look before
    query = cluster.watched().query
    assert (query["resourceVersion"], query["labelSelector"], query["allowWatchBookmarks"]) == ("5", "estate=e", "true")
    cluster.events.put(event("MODIFIED", config("a", "6", k="2")))
    assert told.once()
    cluster.events.put(event("ADDED", config("b", "7")))
    assert told.once()
    cluster.events.put(event("DELETED", config("b", "8")))
    assert told.once()


def test_bookkeeping_is_no_change_and_a_bookmark_is_where_the_next_watch_begins(begin: Callable[..., Any]) -> None:
    cluster, told, _ = begin()
    assert told.once()
    cluster.watched()
    cluster.events.put(event("MODIFIED", config("a", "6", k="1")))
    cluster.events.put(event("BOOKMARK", {"kind": "ConfigMap", "metadata": {"resourceVersion": "90"}}))
    cluster.events.put(None)  # the server ends a watch every few minutes
    assert cluster.watched().query["resourceVersion"] == "90"
    assert len(cluster.lists) == 1
    assert told.nothing


@pytest.mark.parametrize("inside", [True, False])
def test_a_version_that_is_too_old_is_listed_again(begin: Callable[..., Any], inside: bool) -> None:
    """As an event of the watch, and as the answer to it."""
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    cluster, told, _ = begin()
    assert told.once()
    cluster.watched()
    cluster.version = "50"
    cluster.items = [config("a", "40", k="1")]
    if inside:
        cluster.events.put(event("ERROR", gone))
    else:
        cluster.refusals.append(status(410, "Expired", "too old resource version"))
        cluster.events.put(None)
        cluster.watched()
    assert cluster.watched().query["resourceVersion"] == "50"
    assert told.nothing  # it is as it was
    cluster.items = [config("a", "60", k="9")]
    cluster.events.put(event("ERROR", gone))
    cluster.watched()
    assert told.once()  # it has changed while nobody watched


def test_a_cluster_that_is_gone_for_a_while_is_told_and_come_back_to(begin: Callable[..., Any]) -> None:
    cluster, told, _ = begin(refusals=(Answer({}, 502), Answer({}, 502)))
    assert told.once()  # the list
    assert told.once()  # and that it does not answer, once
    for _ in range(3):
        assert cluster.watched().query["resourceVersion"] == "5"
    cluster.events.put(event("MODIFIED", config("a", "6", k="2")))
    assert told.once()
    assert told.nothing


def test_who_may_not_watch_everywhere_watches_namespace_by_namespace(begin: Callable[..., Any]) -> None:
    cluster, _, _ = begin(("n", "m"), (status(403, "Forbidden", "cannot watch"),))
    assert cluster.watched().path == "/api/v1/configmaps"
    paths = {cluster.watched().path, cluster.watched().path}
    assert paths == {"/api/v1/namespaces/m/configmaps", "/api/v1/namespaces/n/configmaps"}


def test_closing_ends_a_watch_that_hears_nothing(begin: Callable[..., Any]) -> None:
    before = set(threading.enumerate())
    cluster, _, watch = begin()
    cluster.watched()
    (thread,) = [one for one in set(threading.enumerate()) - before if one.name.startswith("watch ConfigMap")]
    watch.close()
    thread.join(timeout=WAIT)
    assert not thread.is_alive()
