"""The download path, against a server on loopback."""

from __future__ import annotations

import socket
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from orchestrator.errors import ToolchainError
from orchestrator.toolchain import PROGRAMS, Program, download, ensure, find, install, look
from orchestrator.toolchain.download import parse_checksum
from orchestrator.toolchain.programs import Release, architecture
from orchestrator.toolchain.ways import WayFailed
from tests.toolchain.conftest import ReleaseServer, archive, script, sha256


def release(name: str) -> Release:
    found = PROGRAMS[name].release
    assert found is not None
    return found.for_arch(architecture())


@pytest.fixture(autouse=True)
def no_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads only: a build would hide that a download failed."""

    def refuse(pin: Program, folder: Path, report: object) -> dict[str, str]:
        raise WayFailed("this test has no Go")

    monkeypatch.setattr(install, "build", refuse)


def publish(server: ReleaseServer, name: str, content: bytes, checksum: str = "") -> None:
    """Serve a release of a plain program, or of an archive where the pin says so."""
    pin = release(name)
    file = archive(pin.member, content) if pin.member else content
    line = f"{checksum or sha256(file)}  {pin.url.rsplit('/', 1)[-1]}\n" if pin.member else (checksum or sha256(file))
    server.put(pin.url, file)
    server.put(pin.checksums_url, line.encode())


@pytest.mark.parametrize("name", ["pulumi", "etcd", "kube-apiserver"])
def test_verified_release_is_installed(name: str, server: ReleaseServer, said: list[str], own_cache: Path) -> None:
    version = PROGRAMS[name].version
    publish(server, name, script(version))
    path = ensure([name], said.append)[name]
    assert path == own_cache / "toolchain" / name / version / name
    assert path.read_bytes() == script(version)
    found = look(name)
    assert found is not None
    assert (found.way, found.version) == ("downloaded", version)
    assert any("downloading" in line for line in said)


def test_what_is_there_is_neither_asked_for_nor_reported_again(server: ReleaseServer, said: list[str]) -> None:
    publish(server, "etcd", script("3.6.8"))
    ensure(["etcd"], said.append)
    server.asked.clear()
    said.clear()
    ensure(["etcd"], said.append)
    assert server.asked == said == []


def test_release_with_another_checksum_is_refused(server: ReleaseServer, said: list[str], own_cache: Path) -> None:
    publish(server, "kube-scheduler", script("1.36.3"), checksum="0" * 64)
    with pytest.raises(ToolchainError, match=r"REFUSED: http://.*kube-scheduler has the SHA-256") as caught:
        ensure(["kube-scheduler"], said.append)
    assert "this test has no Go" in str(caught.value)  # every way is named
    assert "on PATH: not there" in str(caught.value)
    assert find("kube-scheduler") is None
    assert list((own_cache / "toolchain" / "kube-scheduler").iterdir()) == []


def test_refused_release_falls_through_to_the_build(
    server: ReleaseServer, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(pin: Program, folder: Path, report: object) -> dict[str, str]:
        (folder / pin.name).write_bytes(script(pin.version))
        (folder / pin.name).chmod(0o755)
        return {"way": "built"}

    monkeypatch.setattr(install, "build", built)
    publish(server, "etcd", script("3.6.8"), checksum="0" * 64)
    ensure(["etcd"], said.append)
    found = look("etcd")
    assert found is not None
    assert found.way == "built"
    assert any("REFUSED" in line for line in said)


def test_checksums_file_without_the_release_is_refused(server: ReleaseServer, said: list[str]) -> None:
    publish(server, "etcd", script("3.6.8"))
    server.put(release("etcd").checksums_url, b"0" * 64 + b"  something-else.tar.gz\n")
    with pytest.raises(ToolchainError, match=r"has no SHA-256 for etcd-v3\.6\.8"):
        ensure(["etcd"], said.append)


def test_release_that_is_not_found_is_named(server: ReleaseServer, said: list[str]) -> None:
    with pytest.raises(ToolchainError, match=r"SHA256SUMS answers 404"):
        ensure(["etcd"], said.append)


def test_download_cut_short_is_tried_once_more(server: ReleaseServer, said: list[str]) -> None:
    publish(server, "kube-scheduler", script("1.36.3"))
    times = []

    def cut_first(handler: BaseHTTPRequestHandler) -> None:
        content = script("1.36.3")
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        times.append(handler.path)
        handler.wfile.write(content if len(times) > 1 else content[:10])

    server.put(release("kube-scheduler").url, cut_first)
    ensure(["kube-scheduler"], said.append)
    assert len(times) == 2


def test_download_always_cut_short_leaves_nothing(server: ReleaseServer, said: list[str], own_cache: Path) -> None:
    publish(server, "kube-scheduler", script("1.36.3"))

    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x" * 10)

    server.put(release("kube-scheduler").url, cut)
    with pytest.raises(ToolchainError, match="broke off"):
        ensure(["kube-scheduler"], said.append)
    assert list((own_cache / "toolchain" / "kube-scheduler").iterdir()) == []


def test_server_that_falls_silent_is_given_up(
    server: ReleaseServer, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "READ_SECONDS", 0.2)
    publish(server, "kube-scheduler", script("1.36.3"))

    def silent(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(2)

    server.put(release("kube-scheduler").url, silent)
    with pytest.raises(ToolchainError, match="broke off"):
        ensure(["kube-scheduler"], said.append)


def test_slow_download_tells_how_far_it_is(
    server: ReleaseServer, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PROGRESS_SECONDS", 0.05)
    monkeypatch.setattr(download, "_CHUNK_BYTES", 1 << 16)
    content = script("1.36.3", size=1 << 20)
    publish(server, "kube-scheduler", content)

    def slow(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        half = len(content) // 2
        handler.wfile.write(content[:half])
        handler.wfile.flush()
        time.sleep(0.2)
        handler.wfile.write(content[half:])

    server.put(release("kube-scheduler").url, slow)
    ensure(["kube-scheduler"], said.append)
    assert any("% of 1 MB downloaded" in line for line in said), said


def test_host_that_cannot_be_reached_is_tried_once(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound, not listening: refuses
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ORCHESTRATOR_MIRROR", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        downloads = download.Downloads(said.append)
        opened = []
        original = downloads._opener.open
        monkeypatch.setattr(downloads._opener, "open", lambda *a, **k: (opened.append(a), original(*a, **k))[1])
        for name in ("etcd", "kube-apiserver"):
            with pytest.raises(WayFailed, match="cannot be reached"):
                downloads.fetch(PROGRAMS[name], Path("/nowhere"))
        assert len(opened) == 1


def test_release_that_prints_another_version_is_not_installed(server: ReleaseServer, said: list[str]) -> None:
    publish(server, "etcd", script("3.6.7"))
    with pytest.raises(ToolchainError, match=r"what came is version 3\.6\.7"):
        ensure(["etcd"], said.append)
    assert find("etcd") is None


def test_program_without_published_checksums_is_never_downloaded(server: ReleaseServer, said: list[str]) -> None:
    with pytest.raises(ToolchainError, match="publishes no checksums"):
        ensure(["kwok"], said.append)
    assert server.asked == []


def test_password_of_a_mirror_is_not_told(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_MIRROR", "http://me:canary@127.0.0.1:1")
    with pytest.raises(ToolchainError) as caught:
        ensure(["etcd"], said.append)
    assert "canary" not in str(caught.value)
    assert "canary" not in "".join(said)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a" * 64 + "  file.tar.gz\n" + "b" * 64 + "  other.tar.gz\n", "a" * 64),
        ("A" * 64 + " *file.tar.gz", "a" * 64),
        ("c" * 64 + "\n", "c" * 64),
        ("a" * 64 + "  dist/file.tar.gz\n", "a" * 64),
        ("b" * 64 + "  file.tar.gz.sbom\n", None),
        ("b" * 63 + "  file.tar.gz\n", None),
        ("c" * 64 + "\n" + "d" * 64 + "\n", None),
        ("<html>not found</html>", None),
        ("", None),
    ],
)
def test_checksum_is_taken_for_exactly_this_file(text: str, wanted: str | None) -> None:
    assert parse_checksum(text, "file.tar.gz") == wanted
