"""The connection to one API server: a pool of TLS connections, our own bodies.

Nothing but this file knows the client library, and it is imported only where a proxy may be on the way.
"""

from __future__ import annotations

import os
import shutil
import ssl
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.errors import DriverError
from orchestrator.modes.agile.client import expiry
from orchestrator.modes.agile.client.kubeconfig import Access, Credential

CONNECTIONS = 16
_PREFIX = "connection-"
_LOOPBACK = ("127.", "localhost", "[::1]", "::1")
# The variables in which the client library looks for a proxy.
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
_POOLS = 4  # servers that connections are kept to: there is one
_EARLY = 30.0  # seconds before a credential runs out that a new one is asked for


class Connection:
    """Sends requests to one API server; safe to use from several threads.

    Certificates lie in a private folder under `scratch` while it is open: the TLS library reads them from files.
    """

    def __init__(self, access: Access, scratch: Path) -> None:
        self.server = access.server
        self._streaming: Any = None  # connections that are kept for as long as something is watched
        self._access = access
        self._lock = threading.Lock()
        self._credential: Credential | None = None if access.login else Credential()
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_left(scratch)
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=scratch))
        try:
            self._pool = self._made(Credential())
        except DriverError:
            self.close()
            raise

    def send(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], timeout: tuple[float, float]
    ) -> Any:
        """urllib3's response, read. Raises urllib3.exceptions.HTTPError where there is none, DriverError for a login.

        A program that gives credentials is asked again where those that it gave are refused.
        """
        response = self._request(method, path, body, headers, timeout)
        if response.status == 401 and self._access.login:
            with self._lock:
                self._credential = None
            response = self._request(method, path, body, headers, timeout)
        return response

    def follow(self, path: str, timeout: tuple[float, float]) -> Any:
        """urllib3's response to a GET that goes on and on, to be read piece by piece and closed; as `send`."""
        return self._request("GET", path, None, {"Accept": "application/json"}, timeout, stream=True)

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        timeout: tuple[float, float],
        *,
        stream: bool = False,
    ) -> Any:
        from urllib3 import Timeout

        authorization = self._authorization()
        return (self._streams() if stream else self._pool).request(
            method,
            self.server + path,
            body=body,
            headers={**headers, **authorization, "User-Agent": "orchestrator"},
            timeout=Timeout(connect=timeout[0], read=timeout[1]),
            retries=False,
            redirect=False,
            preload_content=not stream,
        )

    def expired(self) -> str:
        """What of that which we authenticate with has expired, and what to do; empty where that cannot be told."""
        access, now = self._access, time.time()
        known = self._credential or Credential()
        try:
            token = known.token if access.login else access.token()
        except DriverError:
            token = ""
        certificate = known.certificate or access.certificate
        why = expiry.told("the token", expiry.of_token(token), now)
        if not why and certificate:
            why = expiry.told("the client certificate", expiry.of_certificate(certificate), now)
        return f"{why}; {access.renew}" if why else ""

    def close(self) -> None:
        """End the connections and remove the certificates."""
        for pool in (getattr(self, "_pool", None), self._streaming):
            if pool is not None:
                pool.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _streams(self) -> Any:
        with self._lock:
            if self._streaming is None:
                self._streaming = self._made(self._credential or Credential(), block=False)
            return self._streaming

    def _made(self, credential: Credential, *, block: bool = True) -> Any:
        access = self._access
        files = {
            "ssl_ca_cert": self._file("ca.crt", access.ca),
            "cert_file": self._file("client.crt", credential.certificate or access.certificate),
            "key_file": self._file("client.key", credential.key or access.key),
        }
        try:
            pool = _through_proxy(access, files) if _may_need_proxy(access) else _direct(access, files)
        except (OSError, ValueError) as error:
            raise DriverError(f"{access.server}: {error}", hint="check the kubeconfig") from None
        # Whoever finds all connections busy waits: one that is made and thrown away costs more.
        pool.connection_pool_kw["block"] = block
        return pool

    def _file(self, name: str, content: bytes | None) -> str | None:
        if not content:
            return None
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        return str(path)

    def _authorization(self) -> dict[str, str]:
        token = self._login().token if self._access.login else self._access.token()
        if token:
            return {"Authorization": f"Bearer {token}"}
        if self._access.basic:
            from urllib3.util import make_headers

            return dict(make_headers(basic_auth=":".join(self._access.basic)))
        return {}

    def _login(self) -> Credential:
        """What the program gives, asked again shortly before that runs out. Raises DriverError."""
        assert self._access.login is not None
        with self._lock:
            known = self._credential
            if known is None or (known.until and known.until - _EARLY < time.time()):
                known = self._credential = self._access.login()
                if known.certificate:
                    self._pool, self._streaming = self._made(known), None
            return known


def _may_need_proxy(access: Access) -> bool:
    if access.proxy:
        return True
    local = (urlsplit(access.server).hostname or "").startswith(_LOOPBACK)
    return not local and any(os.environ.get(name) for name in _PROXIES)


def _direct(access: Access, files: Mapping[str, str | None]) -> Any:
    """The pool that the client library would make. Its import takes half a second, which every command would pay."""
    from urllib3 import PoolManager

    server_name: dict[str, Any] = {"server_hostname": access.server_name} if access.server_name else {}
    return PoolManager(
        num_pools=_POOLS,
        maxsize=CONNECTIONS,
        cert_reqs=ssl.CERT_REQUIRED if access.verify else ssl.CERT_NONE,
        ca_certs=files["ssl_ca_cert"],
        cert_file=files["cert_file"],
        key_file=files["key_file"],
        **server_name,
    )


def _through_proxy(access: Access, files: Mapping[str, str | None]) -> Any:
    """The client library knows which servers the environment's settings send through which proxy."""
    from kubernetes.client import ApiClient, Configuration

    configuration = Configuration()
    configuration.host = access.server
    configuration.verify_ssl = access.verify
    configuration.tls_server_name = access.server_name
    configuration.connection_pool_maxsize = CONNECTIONS
    for name, path in files.items():
        setattr(configuration, name, path)
    if access.proxy:
        configuration.proxy = access.proxy
    return ApiClient(configuration).rest_client.pool_manager


def _remove_left(scratch: Path) -> None:
    """Remove the certificates of processes that were killed."""
    for folder in scratch.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)
