"""Charts of a registry and of a repository that want a login, fetched by the real helm from real servers."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.change import Known
from orchestrator.rendering import ProgramRenderer
from tests.desired.estates import PLACEMENT, Made, Make
from tests.goprograms import built

pytestmark = pytest.mark.lab

NAME, WORD = "robot", "canary-registry-7c41e0"
HASHED = "$2b$04$FRG/wxQFjK3OJDY.99ef8eBft0FkOQMHQEwmnJz5BWGJZtFweWHHW"
PLACED = PLACEMENT.replace("values: {}", "values: {password: {secretRef: {env: PASSWORD}}}")
SPEC = """
parameters:
  password: {type: secret}
agile:
  web:
    namespace: shop
    helm:
      CHART
      login: {username: robot, password: "${parameters.password}"}
"""
CHART = {
    "Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    "templates/web.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n",
}
Renderers = Callable[[], ProgramRenderer]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, programs: dict[str, Path]) -> Path:
    """The chart as a .tgz."""
    folder = tmp_path_factory.mktemp("chart")
    for name, content in CHART.items():
        path = folder / "web" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    subprocess.run([programs["helm"], "package", folder / "web", "-d", folder], check=True, capture_output=True)
    return folder / "web-1.0.0.tgz"


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """The reference implementation of a registry, in memory, that wants a login -> its address."""
    program = built("registry", Path(__file__).parent / "registry")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "htpasswd").write_text(f"{NAME}:{HASHED}\n")
    config = {
        "version": 0.1,
        "storage": {"inmemory": {}},
        "http": {"addr": address, "secret": "x"},
        "auth": {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}},
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


def pushed(helm: Path, archive: Path, address: str, folder: Path) -> str:
    """The digest of the chart's manifest, once it is there."""
    logins = folder / "logins.json"
    pair = base64.b64encode(f"{NAME}:{WORD}".encode()).decode()
    logins.write_text(json.dumps({"auths": {address: {"auth": pair}}}))
    command = [helm, "push", archive, f"oci://{address}/charts", "--plain-http", "--registry-config", logins]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(line.split()[1] for line in (done.stdout + done.stderr).splitlines() if line.startswith("Digest:"))


class _Guarded(SimpleHTTPRequestHandler):
    """Files, for who has the login."""

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(f"{NAME}:{WORD}".encode()).decode()
        if self.headers.get("Authorization") == wanted:
            super().do_GET()
        else:
            self.send_error(401)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def repository(helm: Path, archive: Path) -> Iterator[str]:
    """A chart repository that wants a login -> its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Guarded, directory=str(archive.parent)))
    url = f"http://127.0.0.1:{server.server_port}"
    subprocess.run([helm, "repo", "index", archive.parent, "--url", url], check=True, capture_output=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def spied(programs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where every command line and environment of helm is written down."""
    seen, spy = tmp_path / "seen", tmp_path / "helm"
    spy.write_text(f'#!/bin/sh\n{{ echo "$@"; /usr/bin/env; }} >> {seen}\nexec {programs["helm"]} "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setitem(programs, "helm", spy)
    return seen


def wrong(made: Made, password: str = WORD) -> str:
    (one,) = made.wrong(Known(), PASSWORD=password).diagnostics
    assert WORD not in str(one)
    assert password not in str(one)
    return str(one)


def test_a_chart_of_a_registry_is_fetched_by_digest_with_a_login(
    make: Make, renderers: Renderers, programs: dict[str, Path], archive: Path, tmp_path: Path, spied: Path
) -> None:
    def placed(digest: str, *, login: bool = True, version: str = "1.0.0") -> Made:
        chart = f"chart: oci://{address}/charts/web\n      version: {version}\n      digest: {digest}"
        spec = SPEC.replace("CHART", chart)
        made = make(spec if login else spec[: spec.index("      login")], placement=PLACED)
        made.render = renderers()
        return made

    with registry(tmp_path) as address:
        digest = pushed(programs["helm"], archive, address, tmp_path)
        seen_before = spied.read_text()
        assert "cannot be fetched" in wrong(placed("sha256:" + "0" * 64))
        assert "401" in wrong(placed(digest), "wrong-word")
        assert "credential not found" in wrong(placed(digest, login=False))
        assert "is that of version 1.0.0" in wrong(placed(digest, version="1.0.1"))
        made = placed(digest)
        (unit,) = made.resolve(Known(), PASSWORD=WORD).units
        assert unit.identity == "ConfigMap/shop/web"
    again = placed(digest)  # the registry is gone
    assert len(again.resolve(Known(), PASSWORD=WORD).units) == 1
    assert again.render.runs == 0
    assert WORD not in spied.read_text().removeprefix(seen_before)
    for folder in ("renderings", "charts"):
        assert not any(WORD.encode() in path.read_bytes() for path in (tmp_path / folder).iterdir())


def test_a_chart_of_a_repository_is_fetched_with_a_login(
    make: Make, renderers: Renderers, programs: dict[str, Path], archive: Path, spied: Path
) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    with repository(programs["helm"], archive) as url:
        chart = f"chart: web\n      repository: {url}\n      version: 1.0.0\n      digest: sha256:{digest}"
        made = make(SPEC.replace("CHART", chart), placement=PLACED)
        made.render = renderers()
        assert "401" in wrong(made, "wrong-word")
        (unit,) = made.resolve(Known(), PASSWORD=WORD).units
        assert unit.identity == "ConfigMap/shop/web"
    assert WORD not in spied.read_text()
