"""Speaking with an API server: JSON in and out, every request counted, errors as two exceptions."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from orchestrator.errors import DriverError
from orchestrator.modes.agile.client.connection import Connection
from orchestrator.modes.agile.client.pacing import BUSY, PATIENCE, EndedError, Pace, asked_for
from orchestrator.modes.agile.objects import MANAGER

PAGE = 2000  # objects per LIST request
ONLY_METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0
WATCH_SECONDS = 90.0  # of silence; a bookmark comes about once a minute


class UnreachedError(Exception):
    """The API server did not answer, or not to us; `cause` says why, the same for all who ask."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class RefusedError(Exception):
    """The API server's answer is an error: HTTP status, its reason (`NotFound`), message and causes."""

    def __init__(self, status: int, reason: str, message: str, causes: tuple[Mapping[str, Any], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes


class Api:
    """One API server. Each method raises UnreachedError and, if not said otherwise, RefusedError."""

    def __init__(self, connection: Connection, closing: threading.Event | None = None) -> None:
        self._connection = connection
        self._pace = Pace(closing or threading.Event())
        self._lock = threading.Lock()
        self._requests = 0

    @property
    def server(self) -> str:
        """Its address."""
        return self._connection.server

    @property
    def requests(self) -> int:
        """How many requests were sent so far."""
        return self._requests

    def get(self, path: str, *, accept: str = _JSON, **query: str) -> Any:
        """What is at a path."""
        return self._call("GET", path, query=query, accept=accept)

    def find(self, path: str) -> dict[str, Any] | None:
        """The object at a path; None if there is none."""
        try:
            found: dict[str, Any] = self.get(path)
        except RefusedError as refused:
            if refused.status == 404:
                return None
            raise
        return found

    def snapshot(self, path: str, **query: str) -> tuple[list[dict[str, Any]], str]:
        """All objects of a collection, page by page, with apiVersion and kind each; and their resource version.

        A watch can go on from there.
        """
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            try:
                page = self.get(path, **query, limit=str(PAGE), **({"continue": token} if token else {}))
            except RefusedError as refused:
                if refused.status != 410 or not token:  # 410: the snapshot behind the pages is gone, start again
                    raise
                found, token = [], ""
                continue
            version, kind = page.get("apiVersion"), str(page.get("kind", "")).removesuffix("List")
            found += [{"apiVersion": version, "kind": kind, **item} for item in page.get("items") or []]
            meta = page.get("metadata") or {}
            token = meta.get("continue") or ""
            if not token:
                return found, str(meta.get("resourceVersion", ""))

    def watch(self, path: str, opened: Callable[[Any], None], **query: str) -> Generator[dict[str, Any], None, None]:
        """The events of a collection as they come, until the server ends it.

        `opened` gets the answer that is read: its `shutdown()` ends the reading from another thread.
        """
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        target = f"{quote(path)}?{urlencode({'watch': 'true', **query})}"
        response = self._sent(lambda: self._connection.follow(target, (CONNECT_SECONDS, WATCH_SECONDS)))
        opened(response)
        try:
            if response.status != 200:
                self._answer(response)
            yield from _lines(response)
        except ReadTimeoutError:  # nothing, not even a bookmark: the link may be dead
            return
        except (HTTPError, OSError) as error:
            raise UnreachedError(f"Kubernetes API {self.server}: {_why(error)}") from None
        finally:
            response.close()

    def list(self, path: str, **query: str) -> list[dict[str, Any]]:
        """The objects of `snapshot`."""
        return self.snapshot(path, **query)[0]

    def apply(self, path: str, body: Mapping[str, Any], *, force: bool, dry: bool = False) -> dict[str, Any]:
        """Server-side apply with our field manager; the object as it is now, or as it would be (`dry`)."""
        query = {"fieldManager": MANAGER, "force": "true" if force else "false", **({"dryRun": "All"} if dry else {})}
        applied: dict[str, Any] = self._call("PATCH", path, body, query=query, content=_APPLY)
        return applied

    def merge(self, path: str, body: Mapping[str, Any]) -> None:
        """A JSON merge patch."""
        self._call("PATCH", path, body, query={"fieldManager": MANAGER}, content="application/merge-patch+json")

    def post(self, path: str, body: Mapping[str, Any]) -> None:
        """Create an object."""
        self._call("POST", path, body, query={"fieldManager": MANAGER})

    def put(self, path: str, body: Mapping[str, Any]) -> None:
        """Replace an object, if its resourceVersion is still the body's."""
        self._call("PUT", path, body, query={"fieldManager": MANAGER})

    def delete(self, path: str, *, uid: str) -> bool:
        """Delete the object if it still is the one with this uid; whether it is gone already.

        The pods and the like of a workload go first; elsewhere, as with kubectl, what depends on it goes after it: for
        kinds that are new to it the garbage collector takes half a minute.
        """
        with_pods = path.startswith(("/apis/apps/", "/apis/batch/"))
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Foreground" if with_pods else "Background",
            "preconditions": {"uid": uid},
        }
        answer = self._call("DELETE", path, options)
        # An object that is still ending is given back; a Status says that there is none any more.
        return bool(answer.get("kind") == "Status" and answer.get("status") == "Success")

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content: str = _JSON,
        accept: str = _JSON,
    ) -> Any:
        target = f"{quote(path)}?{urlencode(query)}" if query else quote(path)
        data = orjson.dumps(body) if body is not None else None
        headers = {"Accept": accept, **({"Content-Type": content} if data else {})}
        timeout = (CONNECT_SECONDS, READ_SECONDS)
        send = lambda: self._connection.send(method, target, data, headers, timeout)
        return self._answer(self._patiently(lambda: self._sent(send)))

    def _patiently(self, send: Callable[[], Any]) -> Any:
        """The answer to a request, sent again as long as the server is too busy for it."""
        end, tries = time.monotonic() + PATIENCE, 0
        while True:
            try:
                self._pace.wait()
            except EndedError:
                raise UnreachedError(f"Kubernetes API {self.server}: not asked any more") from None
            response = send()
            pause = asked_for(response.headers, tries)
            if response.status not in BUSY or time.monotonic() + pause > end:
                return response
            self._pace.slow_down(pause)
            tries += 1

    def _sent(self, send: Callable[[], Any]) -> Any:
        from urllib3.exceptions import HTTPError

        with self._lock:
            self._requests += 1
        try:
            return send()
        except DriverError as error:
            raise UnreachedError(f"Kubernetes API {self.server}: {error.message}") from None
        except (HTTPError, OSError) as error:
            why = self._connection.expired() if _is_about_us(error) else ""
            raise UnreachedError(f"Kubernetes API {self.server}: {why or _why(error)}") from None

    def _answer(self, response: Any) -> Any:
        try:
            answer = orjson.loads(response.data) if response.data else {}
        except ValueError:
            answer = {}
        if response.status < 300:
            return answer
        if response.status == 401:
            why = self._connection.expired() or "our credentials are refused"
            raise UnreachedError(f"Kubernetes API {self.server}: {why} (401 Unauthorized)")
        known = answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}
        if response.status in BUSY and (wait := response.headers.get("Retry-After", "")).isdigit():
            said = str(known.get("message", "")).rstrip()
            raise UnreachedError(
                f"Kubernetes API {self.server}: answers {response.status} {said}; it asks to be left alone for {wait} s"
            )
        if response.status in (*BUSY, 502, 504) or (response.status >= 400 and not known and response.status != 404):
            raise UnreachedError(
                f"Kubernetes API {self.server}: answers {response.status} {known.get('message', '')}".rstrip()
            )
        causes = (known.get("details") or {}).get("causes") or []
        message = str(known.get("message") or f"HTTP {response.status}")
        raise RefusedError(response.status, str(known.get("reason", "")), message, tuple(causes))


def _lines(response: Any) -> Iterator[dict[str, Any]]:
    """One JSON object a line, however the bytes come."""
    left = b""
    for piece in response.stream():
        *lines, left = (left + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield orjson.loads(line)


def _is_about_us(error: BaseException) -> bool:
    """Whether a server that asks for a certificate in TLS has ended it: it may be ours that it does not like."""
    found = _inside(error)
    ended = any(isinstance(inner, ssl.SSLError | ConnectionResetError | BrokenPipeError) for inner in found)
    return ended and not any(isinstance(inner, ssl.SSLCertVerificationError) for inner in found)


def _inside(error: BaseException) -> list[Any]:
    """The root of a connection error, and what it was made from."""
    from urllib3 import exceptions

    root: BaseException = error
    while isinstance(root, exceptions.MaxRetryError) and root.reason:
        root = root.reason
    return [root, root.__cause__, root.__context__, *root.args]


def _why(error: BaseException) -> str:
    """The root of a connection error, in a person's words; the same text for the same trouble."""
    from urllib3 import exceptions

    found = _inside(error)
    root = found[0]
    for inner in found:
        if isinstance(inner, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted ({inner.verify_message}); check the kubeconfig's certificate-authority"
            )
        if isinstance(inner, ssl.SSLError):
            return f"TLS failed ({inner.reason or 'the server ended it'}); check the address and the client certificate"
        if isinstance(inner, ConnectionRefusedError):
            return "connection refused"
        if isinstance(inner, ConnectionResetError | BrokenPipeError):
            return "it closed the connection without an answer"
    if isinstance(root, exceptions.ConnectTimeoutError):
        return f"no connection within {CONNECT_SECONDS:.0f} s"
    if isinstance(root, exceptions.ReadTimeoutError):
        return f"no answer within {READ_SECONDS:.0f} s"
    if isinstance(root, exceptions.NameResolutionError):
        return "its name cannot be resolved"
    return str(root).rpartition(": ")[2] or type(root).__name__
