"""A Galaxy server for tests, on loopback: its v3 API with one collection, as ansible-galaxy asks for it.

with galaxy(folder, token="…") as server:
    server.url          # for `[galaxy_server.x] url=` of an ansible.cfg
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

VERSION = "1.2.0"
ABOUT = f"namespace: acme\nname: tools\nversion: {VERSION}\nreadme: README.md\nauthors: [acme]\n"


@dataclass
class Galaxy:
    """A server that runs, and the paths that it was asked for."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def galaxy(folder: Path, token: str) -> Iterator[Galaxy]:
    """It serves `acme.tools` in one version, whose role `greet` writes a file, to who has the token."""
    archive = _built(folder)
    server = Galaxy("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0].removeprefix("/hub/api")
            server.asked.append(path)
            if path == "/archive":
                self._give(200, archive)
            elif path != "/" and self.headers.get("Authorization") != f"Token {token}":
                self._give(401, b'{"errors": [{"status": "401", "title": "Invalid token."}]}')
            else:
                found = _api(server.url, archive).get(path.rstrip("/"))
                self._give(200 if found else 404, json.dumps(found).encode())

        def _give(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_port}/hub/api/"
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield server
        http.shutdown()


def _built(folder: Path) -> bytes:
    """The collection's archive, as ansible-galaxy builds it."""
    source = folder / "acme" / "tools"
    (source / "roles" / "greet" / "tasks").mkdir(parents=True)
    (source / "galaxy.yml").write_text(ABOUT)
    (source / "README.md").write_text("Tools.\n")
    task = '- {name: greet, ansible.builtin.copy: {content: hello, dest: "{{ base }}/greeting"}}\n'
    (source / "roles" / "greet" / "tasks" / "main.yml").write_text(task)
    program = Path(sys.executable).with_name("ansible-galaxy")
    command = [str(program), "collection", "build", str(source), "--output-path", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return (folder / f"acme-tools-{VERSION}.tar.gz").read_bytes()


def _api(url: str, archive: bytes) -> dict[str, object]:
    """Its answers, by path."""
    one = "/v3/collections/acme/tools"
    version = {
        "version": VERSION,
        "href": f"{url}v3{one}/versions/{VERSION}/",
        "namespace": {"name": "acme"},
        "collection": {"name": "tools"},
        "download_url": f"{url}archive",
        "artifact": {"filename": f"acme-tools-{VERSION}.tar.gz", "sha256": hashlib.sha256(archive).hexdigest()},
        "metadata": {"dependencies": {}},
        "signatures": [],
    }
    return {
        "": {"available_versions": {"v3": "v3/"}},
        one: {"namespace": "acme", "name": "tools", "highest_version": {"version": VERSION}},
        f"{one}/versions": {"meta": {"count": 1}, "links": {"next": None}, "data": [{"version": VERSION}]},
        f"{one}/versions/{VERSION}": version,
    }
