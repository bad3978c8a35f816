"""Whether the holder of a lease still lives, as far as this machine can tell."""

from __future__ import annotations

import re
import socket
from pathlib import Path

_HOLDER = re.compile(r"^(?P<user>.*)@(?P<host>\S+) pid (?P<pid>\d+) started (?P<started>\d+)$")


def shown(holder: str) -> str:
    """A holder as a person knows it: without its start time, which only tells recycled pids apart."""
    found = _HOLDER.match(holder)
    return f"{found['user']}@{found['host']} (pid {found['pid']})" if found else holder


def is_dead(holder: str) -> bool:
    """Whether a holder, written as `user@host pid N started T`, was a process of this machine that has ended.

    T is the process's start time in the kernel's ticks: a recycled pid has another one. Of other machines' holders,
    and of what is not written so, nothing is known: neither dead nor alive.
    """
    return _lives(holder) is False


def is_alive(holder: str) -> bool:
    """Whether a holder is a process of this machine that runs."""
    return _lives(holder) is True


def _lives(holder: str) -> bool | None:
    found = _HOLDER.match(holder)
    if found is None or found["host"] != socket.gethostname() or not Path("/proc/self/stat").exists():
        return None
    try:
        fields = Path(f"/proc/{found['pid']}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    except OSError:
        return None
    return fields[0] != "Z" and fields[19] == found["started"]
