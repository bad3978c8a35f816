"""The pulumi program as a child that dies with us and sees nothing of our environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from pulumi.automation import CommandResult, PulumiCommand
from pulumi.automation.errors import create_command_error

_DIE_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""

OnOutput = Callable[[str], Any]


def dying_with_us() -> list[str]:
    """What a command line begins with whose program the kernel is to kill when the thread that starts it ends."""
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]


class Pulumi(PulumiCommand):  # type: ignore[misc]
    """Runs pulumi for the Automation API.

    The kernel kills the child when the thread that started it ends: that thread waits for it here, so only our own end
    does that. It is in a process group of its own: an interrupt at the terminal is ours to handle.
    """

    def __init__(self, program: Path) -> None:
        self.command = str(program)
        self.version = None  # the toolchain has looked at it
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._ended = False

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: OnOutput | None = None,
        on_error: OnOutput | None = None,
    ) -> CommandResult:
        """Run one command to its end. Raises the Automation API's CommandError where it fails."""
        argv = [*dying_with_us(), self.command, "--non-interactive"]
        with self._lock:
            if self._ended:
                raise create_command_error(CommandResult("", "ended", -9))
            child = self._child = subprocess.Popen(
                [*argv, *args],
                cwd=cwd,
                env={"PATH": "/usr/bin:/bin", **additional_env, "PULUMI_AUTOMATION_API": "true"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                process_group=0,
            )
        texts: dict[str, str] = {}
        readers = [
            threading.Thread(target=lambda: texts.update(out=_read(child.stdout, on_output)), daemon=True),
            threading.Thread(target=lambda: texts.update(err=_read(child.stderr, on_error)), daemon=True),
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        result = CommandResult(texts.get("out", ""), texts.get("err", ""), child.wait())
        if result.code != 0:
            raise create_command_error(result)
        return result

    def interrupt(self) -> None:
        """Ask the child to end in order, if one runs."""
        with self._lock:
            if self._child is not None and self._child.poll() is None:
                self._child.send_signal(signal.SIGINT)

    def end(self) -> None:
        """End the child and the plugins that it has started, if one runs; none is started any more."""
        with self._lock:
            self._ended = True
            if self._child is not None and self._child.poll() is None:
                os.killpg(self._child.pid, signal.SIGKILL)


def _read(stream: IO[str] | None, told: OnOutput | None) -> str:
    lines = []
    for line in stream or ():
        lines.append(line.rstrip())
        if told:
            told(lines[-1])
    return "\n".join(lines)
