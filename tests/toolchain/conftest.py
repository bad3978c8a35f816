"""A release server on loopback, and a cache and a PATH of the test's own."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

Answer = Callable[[BaseHTTPRequestHandler], None]


class ReleaseServer:
    """Serves what was put at a path; `asked` lists every path in the order of the questions."""

    def __init__(self, url: str, answers: dict[str, bytes | Answer], asked: list[str]) -> None:
        self.url, self.answers, self.asked = url, answers, asked

    def put(self, url: str, content: bytes | Answer) -> None:
        """Answer the vendor's `url` (asked for through the mirror) with bytes, or by a function."""
        self.answers["/" + url.removeprefix("https://")] = content


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    answers: dict[str, bytes | Answer] = {}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer = answers.get(self.path)
            if answer is None:
                self.send_error(404)
            elif isinstance(answer, bytes):
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            else:
                answer(self)

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    url = f"http://127.0.0.1:{http.server_address[1]}"
    monkeypatch.setenv("ORCHESTRATOR_MIRROR", url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield ReleaseServer(url, answers, asked)
    http.shutdown()
    http.server_close()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """Nothing of this machine: an empty cache, and a PATH with a shell and no program of ours."""
    cache = tmp_path / "cache"
    if request.node.get_closest_marker("lab") is None:
        empty = tmp_path / "path"
        empty.mkdir()
        monkeypatch.setenv("PATH", str(empty))
        monkeypatch.setenv("ORCHESTRATOR_CACHE", str(cache))
    return cache


@pytest.fixture
def said() -> list[str]:
    """What was reported; pass `said.append`."""
    return []


def script(version: str, size: int = 0) -> bytes:
    """A program that really runs and prints its version."""
    return f"#!/bin/sh\necho 'Version: {version}'\nexit\n".encode() + b"#" * size


def archive(member: str, content: bytes) -> bytes:
    """A .tar.gz with one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
