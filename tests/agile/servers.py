"""A small HTTPS server that answers as an API server would, well or badly, with certificates of its own."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path


class Authority:
    """Signs certificates, for 127.0.0.1 if not said otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"ca-{folder.name}")])
        own = self._builder(self.name, self.key, DAY).add_extension(x509.BasicConstraints(True, None), True)
        self.path = folder / "ca.crt"
        self.path.write_bytes(own.sign(self.key, hashes.SHA256()).public_bytes(PEM))

    def pair(self, name: str, *, host: str = "127.0.0.1", until: datetime.timedelta = DAY) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        made = self._builder(subject, key, until).add_extension(names, False).sign(self.key, hashes.SHA256())
        pair = Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        pair.certificate.write_bytes(made.public_bytes(PEM))
        form = serialization.PrivateFormat.PKCS8
        pair.key.write_bytes(key.private_bytes(PEM, form, serialization.NoEncryption()))
        return pair

    def _builder(self, subject: x509.Name, key: Any, until: datetime.timedelta) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 10 * DAY)
            .not_valid_after(now + until)
        )


@dataclass
class Request:
    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Answer:
    """`events`: what is sent after the body, one by one, while the connection stays open."""

    data: Any = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    events: Iterator[Any] | None = None


def status(code: int, reason: str, message: str, **headers: str) -> Answer:
    data = {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message}
    return Answer(data, code, {name.replace("_", "-"): value for name, value in headers.items()})


def page(items: list[Any], version: str = "10", token: str = "") -> Answer:
    meta = {"resourceVersion": version, **({"continue": token} if token else {})}
    return Answer({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": meta, "items": items})


@dataclass
class Server:
    """`connections` has where each came from."""

    address: str
    asked: list[Request]
    connections: set[tuple[str, int]]

    def kubeconfig(self, path: Path, ca: Path | None, **user: Any) -> Path:
        cluster = {"server": self.address, **({"certificate-authority": str(ca)} if ca else {})}
        config = {
            "clusters": [{"name": "x", "cluster": cluster}],
            "users": [{"name": "x", "user": user or {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "current-context": "x",
        }
        path.write_text(yaml.safe_dump(config))
        return path


DISCOVERY = {
    "/api": {
        "kind": "APIGroupDiscoveryList",
        "items": [
            {
                "metadata": {"name": ""},
                "versions": [
                    {
                        "version": "v1",
                        "resources": [
                            {
                                "resource": plural,
                                "responseKind": {"kind": kind},
                                "scope": scope,
                                "verbs": ["list", "watch"],
                            }
                            for plural, kind, scope in (
                                ("configmaps", "ConfigMap", "Namespaced"),
                                ("namespaces", "Namespace", "Cluster"),
                            )
                        ],
                    }
                ],
            }
        ],
    },
    "/apis": {"kind": "APIGroupDiscoveryList", "items": []},
}


@contextmanager
def serving(pair: Pair, answer: Callable[[Request], Answer], *, clients: Path | None = None) -> Iterator[Server]:
    """A server whose lists are `answer`'s; what it serves is known without asking."""
    asked: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            request = Request(parts.path, query, dict(self.headers))
            asked.append(request)
            self._send(Answer(DISCOVERY[parts.path]) if parts.path in DISCOVERY else answer(request))

        def _send(self, it: Answer) -> None:
            self.send_response(it.status)
            for name, value in it.headers.items():
                self.send_header(name, value)
            if it.events is None:
                body = json.dumps(it.data).encode()
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for event in it.events:
                line = json.dumps(event).encode() + b"\n"
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: Any) -> None: ...

    connections: set[tuple[str, int]] = set()

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def verify_request(self, request: Any, client_address: Any) -> bool:
            connections.add(client_address)
            return True

        def handle_error(self, *_: Any) -> None: ...

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    if clients:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    server = Quiet(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Server(f"https://127.0.0.1:{server.server_address[1]}", asked, connections)
    finally:
        server.shutdown()
        server.server_close()
