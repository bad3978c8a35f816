"""Servers that charts are fetched from, and that want a login: a registry, the tokens for one, and a repository."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from tests.agile.servers import Pair
from tests.goprograms import built
from tests.tokens import encoded, signed

NAME, WORD = "robot", "canary-registry-7c41e0"
HASHED = "$2b$04$FRG/wxQFjK3OJDY.99ef8eBft0FkOQMHQEwmnJz5BWGJZtFweWHHW"
BASIC = "Basic " + base64.b64encode(f"{NAME}:{WORD}".encode()).decode()


@contextmanager
def registry(
    folder: Path, *, host: str = "127.0.0.1", tls: Pair | None = None, auth: dict[str, Any] | None = None
) -> Iterator[str]:
    """The reference implementation of a registry, in memory, that wants a login -> its address."""
    program = built("registry", Path(__file__).parent / "registry")
    with closing(socket.socket()) as free:
        free.bind((host, 0))
        address = f"{host}:{free.getsockname()[1]}"
    (folder / "htpasswd").write_text(f"{NAME}:{HASHED}\n")
    http: dict[str, Any] = {"addr": address, "secret": "x"}
    if tls is not None:
        http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    config = {
        "version": 0.1,
        "storage": {"inmemory": {}},
        "http": http,
        "auth": auth or {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}},
    }
    with (folder / "registry.log").open("wb") as log:
        server = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            assert server.stdin is not None
            server.stdin.write(json.dumps(config).encode())
            server.stdin.close()
            _until_it_answers(address)
            yield address
        finally:
            server.kill()
            server.wait()


def _until_it_answers(address: str) -> None:
    host, _, port = address.partition(":")
    for _ in range(300):
        with closing(socket.socket()) as trying:
            if trying.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the registry does not answer")


def pushed(helm: Path, archive: Path, address: str, folder: Path, *how: str) -> str:
    """The digest of the chart's manifest, once it is there; `how` helm reaches it if not by plain HTTP."""
    logins = folder / "logins.json"
    pair = base64.b64encode(f"{NAME}:{WORD}".encode()).decode()
    logins.write_text(json.dumps({"auths": {address: {"auth": pair}}}))
    command = [helm, "push", archive, f"oci://{address}/charts", *(how or ("--plain-http",))]
    command += ["--registry-config", logins]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(line.split()[1] for line in (done.stdout + done.stderr).splitlines() if line.startswith("Digest:"))


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Clients that do not trust the certificate are part of the tests."""


class _Guarded(SimpleHTTPRequestHandler):
    """Files, for who has the login."""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") == BASIC:
            super().do_GET()
        else:
            self.send_error(401)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def repository(helm: Path, archive: Path, tls: Pair | None = None) -> Iterator[str]:
    """A chart repository that wants a login -> its URL."""
    server = _Server(("127.0.0.1", 0), partial(_Guarded, directory=str(archive.parent)))
    url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    subprocess.run([helm, "repo", "index", archive.parent, "--url", url], check=True, capture_output=True)
    _secured(server, tls)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()


def _secured(server: ThreadingHTTPServer, tls: Pair | None) -> None:
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)


class _Tokens(BaseHTTPRequestHandler):
    """Gives who has the login a token for what is asked for."""

    key: ec.EllipticCurvePrivateKey
    given: list[str]

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if self.headers.get("Authorization") != BASIC:
            self.send_error(401)
            return
        kind, name, actions = query.get("scope", "::").split(":")
        access = [{"type": kind, "name": name, "actions": actions.split(",")}]
        now = int(time.time())
        claims = {"iss": "tests", "aud": "registry", "sub": NAME, "nbf": now - 60, "exp": now + 300, "access": access}
        token = signed(self.key, {"typ": "JWT", "kid": "tests"}, claims)
        self.given.append(token)
        body = json.dumps({"token": token}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def tokens(folder: Path, host: str, tls: Pair) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """A server of tokens -> what a registry has to know of it, and the tokens that it has given."""
    key, given = ec.generate_private_key(ec.SECP256R1()), list[str]()
    numbers = key.public_key().public_numbers()
    point = {name: encoded(getattr(numbers, name).to_bytes(32, "big")) for name in ("x", "y")}
    keys = {"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "tests", **point}]}
    (folder / "keys.json").write_text(json.dumps(keys))
    server = _Server((host, 0), type("Tokens", (_Tokens,), {"key": key, "given": given}))
    _secured(server, tls)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    realm = f"https://{host}:{server.server_port}/token"
    try:
        yield (
            {"token": {"realm": realm, "service": "registry", "issuer": "tests", "jwks": str(folder / "keys.json")}},
            given,
        )
    finally:
        server.shutdown()
        server.server_close()
