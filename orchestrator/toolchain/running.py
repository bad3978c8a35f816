"""Running a program that takes minutes: its lines as they come, a heartbeat when it is silent, its last words."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orchestrator.toolchain.ways import WayFailed

BEAT_SECONDS = 15.0
_LAST_WORDS = 12
_STOP_SECONDS = 10.0


def run_long(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    on_beat: Callable[[float], None],
    on_line: Callable[[str], bool] = lambda line: False,
    cwd: Path | None = None,
) -> None:
    """Run `command` to its end.

    `on_beat(seconds since the start)` is called every BEAT_SECONDS; `on_line(line)` with each line of
    output, returning True for one that is mere progress. Raises WayFailed with the last other lines
    when it fails or cannot be started; stops it when interrupted.
    """
    last_words: deque[str] = deque(maxlen=_LAST_WORDS)

    def take(line: str) -> None:
        if line.strip() and not on_line(line):
            last_words.append(line.rstrip())

    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise WayFailed(f"{command[0]} cannot be started ({error.strerror})") from None
    try:
        _follow(process, take, on_beat)
        code = process.wait()
    finally:
        _stop(process)
    if code != 0:
        raise WayFailed(f"{Path(command[0]).name} ended with {code}: " + (" | ".join(last_words) or "it said nothing"))


def _follow(process: subprocess.Popen[bytes], take: Callable[[str], None], on_beat: Callable[[float], None]) -> None:
    """Feed `take` line by line until the output ends."""
    assert process.stdout is not None
    started = time.monotonic()
    next_beat, rest = started + BEAT_SECONDS, b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if selector.select(timeout=max(0.0, next_beat - time.monotonic())):
                chunk = os.read(process.stdout.fileno(), 1 << 16)
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    take(line.decode("utf-8", errors="replace"))
                if not chunk:
                    take(rest.decode("utf-8", errors="replace"))
                    return
            if time.monotonic() >= next_beat:
                next_beat += BEAT_SECONDS
                on_beat(time.monotonic() - started)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Leave no process behind when we were interrupted."""
    if process.stdout:
        process.stdout.close()
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
            return
        process.kill()
        process.wait()
