"""Whole or not at all: two installs at once, an interrupted one, a cache that cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from orchestrator.errors import ToolchainError
from orchestrator.toolchain import ensure, find, look
from orchestrator.toolchain.running import run_long
from orchestrator.toolchain.ways import WayFailed
from tests.toolchain.conftest import ReleaseServer, script, sha256
from tests.toolchain.test_download import release

INSTALL = (
    "import sys; from orchestrator.toolchain import ensure; ensure([sys.argv[1]], lambda line: print(line, flush=True))"
)


def start_install(name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", INSTALL, name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ)


def hold_back(server: ReleaseServer, name: str, content: bytes) -> tuple[threading.Event, threading.Event]:
    """Serve half of a release, then wait; returns (asked, go on)."""
    asked, go_on = threading.Event(), threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        handler.wfile.flush()
        asked.set()
        go_on.wait(30)
        handler.wfile.write(content[len(content) // 2 :])

    server.put(release(name).url, answer)
    server.put(release(name).checksums_url, sha256(content).encode())
    return asked, go_on


def test_two_installs_at_once_fetch_once_and_both_succeed(server: ReleaseServer) -> None:
    asked, go_on = hold_back(server, "kube-scheduler", script("1.36.3", size=100_000))
    first = start_install("kube-scheduler")
    assert asked.wait(30)
    second = start_install("kube-scheduler")
    assert second.stdout is not None
    assert "somebody else is installing it" in second.stdout.readline()
    go_on.set()
    assert first.wait(60) == 0
    assert second.wait(60) == 0
    assert find("kube-scheduler") is not None
    assert sum(path.endswith("/kube-scheduler") for path in server.asked) == 1


def test_killed_install_leaves_nothing_found_and_the_next_one_cleans_up(
    server: ReleaseServer, own_cache: Path, said: list[str]
) -> None:
    content = script("1.36.3", size=100_000)
    asked, go_on = hold_back(server, "kube-scheduler", content)
    killed = start_install("kube-scheduler")
    assert asked.wait(30)
    killed.kill()
    killed.wait()
    go_on.set()
    folder = own_cache / "toolchain" / "kube-scheduler"
    assert [path.name[:9] for path in folder.iterdir()] == [".staging-"]
    assert find("kube-scheduler") is None

    server.put(release("kube-scheduler").url, content)
    ensure(["kube-scheduler"], said.append)
    assert [path.name for path in folder.iterdir()] == ["1.36.3"]


def test_broken_install_is_replaced(server: ReleaseServer, said: list[str]) -> None:
    content = script("1.36.3")
    server.put(release("kube-scheduler").url, content)
    server.put(release("kube-scheduler").checksums_url, sha256(content).encode())
    path = ensure(["kube-scheduler"], said.append)["kube-scheduler"]
    path.unlink()
    assert look("kube-scheduler") is None
    assert ensure(["kube-scheduler"], said.append)["kube-scheduler"].read_bytes() == content


def test_cache_that_cannot_be_made_is_an_error_with_the_way_out(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ToolchainError, match="set ORCHESTRATOR_CACHE to a folder that can be written to"):
        ensure(["etcd"], said.append)


def test_long_run_beats_while_silent_and_tells_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.toolchain.running.BEAT_SECONDS", 0.1)
    beats: list[float] = []
    program = "import sys, time; print('progress', flush=True); time.sleep(0.5); print('it broke'); sys.exit(3)"
    with pytest.raises(WayFailed, match=r"ended with 3: it broke$"):
        run_long(
            [sys.executable, "-c", program],
            environment=os.environ,
            on_beat=beats.append,
            on_line=lambda line: line == "progress",
        )
    assert len(beats) >= 3


def test_interrupted_long_run_leaves_no_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("orchestrator.toolchain.running.BEAT_SECONDS", 0.1)
    pid_file = tmp_path / "pid"
    program = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"

    def interrupt(seconds: float) -> None:
        if pid_file.exists() and pid_file.read_text():
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_long([sys.executable, "-c", program], environment=os.environ, on_beat=interrupt)
    assert time.monotonic() - started < 20
    assert not Path(f"/proc/{pid_file.read_text()}").exists()
