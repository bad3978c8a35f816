"""As much of a Kubernetes client as the lab needs to see its own control plane get ready: the standard library's."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any


class Api:
    """JSON over HTTPS to the API server on loopback; no proxy is ever asked. Raises OSError while nothing listens."""

    def __init__(self, port: int, ca: Path, token: str, timeout: float = 5.0) -> None:
        self._port = port
        self._context = ssl.create_default_context(cafile=str(ca))
        self._token = token
        self._timeout = timeout

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """HTTP status, and the answer (JSON, or text where it is none)."""
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=self._timeout, context=self._context)
        try:
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode()
        except http.client.HTTPException as error:
            raise OSError(f"{type(error).__name__}: {error}") from None
        finally:
            connection.close()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return self.call("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def has(self, path: str) -> bool:
        try:
            return self.call("GET", path)[0] == 200
        except OSError:
            return False
