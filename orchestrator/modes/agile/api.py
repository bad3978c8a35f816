"""Speaking with an API server: JSON in and out, every request counted, errors as two exceptions."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from orchestrator.modes.agile.connection import Connection
from orchestrator.modes.agile.objects import MANAGER

PAGE = 500  # objects per LIST request
ONLY_METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0


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

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
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

    def list(self, path: str, **query: str) -> list[dict[str, Any]]:
        """All objects of a collection, page by page, each with its apiVersion and kind."""
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
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return found

    def apply(self, path: str, body: Mapping[str, Any], *, force: bool) -> dict[str, Any]:
        """Server-side apply with our field manager; the object as it is now."""
        query = {"fieldManager": MANAGER, "force": "true" if force else "false"}
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

    def delete(self, path: str, *, uid: str) -> None:
        """Delete the object if it still is the one with this uid.

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
        self._call("DELETE", path, options)

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
        from urllib3.exceptions import HTTPError

        with self._lock:
            self._requests += 1
        target = f"{quote(path)}?{urlencode(query)}" if query else quote(path)
        data = orjson.dumps(body) if body is not None else None
        headers = {"Accept": accept, **({"Content-Type": content} if data else {})}
        try:
            response = self._connection.send(method, target, data, headers, (CONNECT_SECONDS, READ_SECONDS))
        except (HTTPError, OSError) as error:
            raise UnreachedError(f"Kubernetes API {self.server}: {_why(error)}") from None
        return self._answer(response)

    def _answer(self, response: Any) -> Any:
        try:
            answer = orjson.loads(response.data) if response.data else {}
        except ValueError:
            answer = {}
        if response.status < 300:
            return answer
        if response.status == 401:
            raise UnreachedError(f"Kubernetes API {self.server}: our credentials are refused (401 Unauthorized)")
        known = answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}
        if response.status in (429, 502, 503, 504) or (response.status >= 400 and not known and response.status != 404):
            raise UnreachedError(
                f"Kubernetes API {self.server}: answers {response.status} {known.get('message', '')}".rstrip()
            )
        causes = (known.get("details") or {}).get("causes") or []
        message = str(known.get("message") or f"HTTP {response.status}")
        raise RefusedError(response.status, str(known.get("reason", "")), message, tuple(causes))


def _why(error: BaseException) -> str:
    """The root of a connection error, in a person's words; the same text for the same trouble."""
    from urllib3 import exceptions

    root: BaseException = error
    while isinstance(root, exceptions.MaxRetryError) and root.reason:
        root = root.reason
    for inner in (root, root.__cause__, root.__context__, *root.args):
        if isinstance(inner, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted ({inner.verify_message}); check the kubeconfig's certificate-authority"
            )
        if isinstance(inner, ConnectionRefusedError):
            return "connection refused"
    if isinstance(root, exceptions.ConnectTimeoutError):
        return f"no connection within {CONNECT_SECONDS:.0f} s"
    if isinstance(root, exceptions.ReadTimeoutError):
        return f"no answer within {READ_SECONDS:.0f} s"
    if isinstance(root, exceptions.NameResolutionError):
        return "its name cannot be resolved"
    return str(root).rpartition(": ")[2] or type(root).__name__
