"""The connection to one API server: the kubernetes client's configuration and connection pool, our own bodies.

Nothing but this file knows the client library.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.errors import DriverError
from orchestrator.modes.agile.kubeconfig import Access, Credential

CONNECTIONS = 16
_PREFIX = "connection-"
_LOOPBACK = ("127.", "localhost", "[::1]", "::1")
_EARLY = 30.0  # seconds before a credential runs out that a new one is asked for


class Connection:
    """Sends requests to one API server; safe to use from several threads.

    Certificates lie in a private folder under `scratch` while it is open: the TLS library reads them from files.
    """

    def __init__(self, access: Access, scratch: Path) -> None:
        self.server = access.server
        self._access = access
        self._lock = threading.Lock()
        self._credential = access.login() if access.login else Credential()
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_left(scratch)
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=scratch))
        try:
            self._pool = self._made()
        except DriverError:
            self.close()
            raise

    def send(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], timeout: tuple[float, float]
    ) -> Any:
        """urllib3's response, read. Raises urllib3.exceptions.HTTPError where there is none."""
        from urllib3 import Retry, Timeout

        return self._pool.request(
            method,
            self.server + path,
            body=body,
            headers={**headers, **self._authorization(), "User-Agent": "orchestrator"},
            timeout=Timeout(connect=timeout[0], read=timeout[1]),
            retries=Retry(
                total=3,
                connect=0,
                read=0,
                redirect=0,
                status=3,
                status_forcelist=(429, 503),
                backoff_factor=0.3,
                allowed_methods=None,
                raise_on_status=False,
            ),
        )

    def close(self) -> None:
        """End the connections and remove the certificates."""
        if pool := getattr(self, "_pool", None):
            pool.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _made(self) -> Any:
        from kubernetes.client import ApiClient, Configuration

        access, credential = self._access, self._credential
        configuration = Configuration()
        configuration.host = access.server
        configuration.verify_ssl = access.verify
        configuration.ssl_ca_cert = self._file("ca.crt", access.ca)
        configuration.cert_file = self._file("client.crt", credential.certificate or access.certificate)
        configuration.key_file = self._file("client.key", credential.key or access.key)
        configuration.tls_server_name = access.server_name
        configuration.connection_pool_maxsize = CONNECTIONS
        if access.proxy or (urlsplit(access.server).hostname or "").startswith(_LOOPBACK):
            configuration.proxy = access.proxy
        try:
            return ApiClient(configuration).rest_client.pool_manager
        except (OSError, ValueError) as error:
            raise DriverError(f"{access.server}: {error}", hint="check the kubeconfig") from None

    def _file(self, name: str, content: bytes | None) -> str | None:
        if not content:
            return None
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        return str(path)

    def _authorization(self) -> dict[str, str]:
        if self._access.login:
            with self._lock:
                if self._credential.until and self._credential.until - _EARLY < time.time():
                    self._credential = self._access.login()
            token = self._credential.token
        else:
            token = self._access.token()
        if token:
            return {"Authorization": f"Bearer {token}"}
        if self._access.basic:
            from urllib3.util import make_headers

            return dict(make_headers(basic_auth=":".join(self._access.basic)))
        return {}


def _remove_left(scratch: Path) -> None:
    """Remove the certificates of processes that were killed."""
    for folder in scratch.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)
