"""A real admission webhook: an HTTPS server on loopback, and the configuration that names it."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from orchestrator.lab import pki

Patch = list[dict[str, Any]]
Decide = Callable[[dict[str, Any]], Patch | str | dict[str, Any]]
"""An object under review -> the JSON patch to make to it; or why it is refused, in words or as a whole status."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where it listens, and whose certificate it has."""

    port: int
    authority: bytes
    reviewed: list[str]

    def configuration(
        self, name: str, namespace: str, *, resources: list[str], groups: list[str], mutating: bool = True
    ) -> dict[str, Any]:
        """The object that makes the API server ask it about these resources in this namespace."""
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration" if mutating else "ValidatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [
                {
                    "name": f"{name}.test.dev",
                    "admissionReviewVersions": ["v1"],
                    "sideEffects": "None",
                    "timeoutSeconds": 5,
                    "clientConfig": {
                        "url": f"https://127.0.0.1:{self.port}/",
                        "caBundle": base64.b64encode(self.authority).decode(),
                    },
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                    "rules": [
                        {
                            "apiGroups": groups,
                            "apiVersions": ["*"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": resources,
                        }
                    ],
                }
            ],
        }


@contextmanager
def serving(folder: Path, decide: Decide, port: int = 0) -> Iterator[Webhook]:
    """A webhook that decides so, as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "ca.crt").exists():
        pki.make(folder)
    reviewed: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            request = review["request"]
            reviewed.append(f"{request['kind']['kind']} {'dry' if request.get('dryRun') else 'real'}")
            answer: dict[str, Any] = {"uid": request["uid"], "allowed": True}
            match decide(request["object"]):
                case str() as why:
                    answer |= {"allowed": False, "status": {"message": why, "code": 422}}
                case dict() as status:
                    answer |= {"allowed": False, "status": status}
                case patch if patch:
                    encoded = base64.b64encode(json.dumps(patch).encode()).decode()
                    answer |= {"patchType": "JSONPatch", "patch": encoded}
            body = json.dumps({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": answer})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Webhook(server.server_address[1], (folder / "ca.crt").read_bytes(), reviewed)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
