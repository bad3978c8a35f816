"""Processes of the lab: known by pid, start time and boot together, so that never somebody else's is touched."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import LabError


@dataclass(frozen=True, slots=True)
class Process:
    """A process; `started` is its start time in clock ticks since the boot whose id is `boot`."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Process:
        """Raises LabError when there is no such process (any more)."""
        state = _stat(pid)
        if state is None:
            raise LabError(f"process {pid} ended as soon as it was started")
        return cls(pid, state[1], boot_id())

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Process:
        return cls(int(data["pid"]), int(data["started"]), str(data["boot"]))

    def as_data(self) -> dict[str, Any]:
        return {"pid": self.pid, "started": self.started, "boot": self.boot}

    def of_this_boot(self) -> bool:
        return self.boot == boot_id()

    def alive(self) -> bool:
        """Whether it still runs; one that ended and was not reaped yet does not."""
        state = _stat(self.pid) if self.of_this_boot() else None
        if state is None or state[1] != self.started:
            return False
        return state[0] not in "ZX" or _has_other_threads(self.pid)

    def signal(self, number: int) -> None:
        """Sends a signal to this very process, or to nobody."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return
        try:
            if self.alive():  # asked after the pidfd was opened: from here on the pid cannot become somebody else's
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def boot_id() -> str:
    """Differs after each boot of this machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and start time of a process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return None
    return fields[0], int(fields[19])


def _has_other_threads(pid: int) -> bool:
    """Of a process whose first thread has ended: it holds its files and ports until the last has."""
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except OSError:
        return False


def start_daemon(
    argv: Sequence[str | Path], log: Path, *, env: Mapping[str, str] | None = None, **options: Any
) -> tuple[Process, subprocess.Popen[bytes]]:
    """Starts a program that outlives us, in a session of its own; what it writes goes to `log`, which begins anew.

    The log is appended to, so that `trim` can shorten it while the program runs.

    The Popen is given back for what can only be asked of a child: its exit code. Raises LabError.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        try:
            popen = subprocess.Popen(
                [str(part) for part in argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                start_new_session=True,
                **options,
            )
        except OSError as error:
            raise LabError(f"{argv[0]}: could not be started: {error.strerror}") from None
    return Process.of(popen.pid), popen


def tail(log: Path, lines: int = 5) -> str:
    """The last lines of a log; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            return "\n".join(file.read().decode(errors="replace").strip().splitlines()[-lines:])
    except OSError:
        return ""


def trim(log: Path, limit: int = 8 << 20) -> None:
    """Empties a log that has grown beyond `limit` bytes; its writer goes on at the start."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > limit:
            os.truncate(log, 0)


def stop(processes: Iterable[Process], *, grace: float) -> list[Process]:
    """SIGTERM, and after `grace` seconds SIGKILL -> those that still live: none, unless the kernel holds them."""
    living = [process for process in processes if process.alive()]
    if grace > 0:
        for process in living:
            process.signal(signal.SIGTERM)
        living = _wait(living, grace)
    for process in living:
        process.signal(signal.SIGKILL)
    return _wait(living, 10.0)


def _wait(processes: Iterable[Process], seconds: float) -> list[Process]:
    living = list(processes)
    deadline = time.monotonic() + seconds
    while living and time.monotonic() < deadline:
        _reap_children(living)
        living = [process for process in living if process.alive()]
        if living:
            time.sleep(0.01)
    return living


def _reap_children(processes: Iterable[Process]) -> None:
    """Collects those that are children of ours; the others are their parent's."""
    for process in processes:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)


def with_environment(name: str, value: str) -> Iterator[Process]:
    """The processes of ours that carry this variable in their environment."""
    wanted = f"{name}={value}".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            if wanted in variables:
                yield Process.of(int(folder.name))
        except (OSError, LabError):
            continue
