"""Whether the holder of a lease still lives, as far as this machine can tell."""

from __future__ import annotations

import re
import socket
from pathlib import Path

_HOLDER = re.compile(r"^.*@(?P<host>\S+) pid (?P<pid>\d+) started (?P<started>\d+)$")


def is_dead(holder: str, *, host: str | None = None, proc: Path = Path("/proc")) -> bool:
    """Whether a holder, written as `user@host pid N started T`, was a process of this machine that has ended.

    T is the process's start time in the kernel's ticks: a recycled pid has another one. Of other machines' holders,
    and of what is not written so, nothing is known: not dead.
    """
    found = _HOLDER.match(holder)
    if found is None or found["host"] != (host or socket.gethostname()) or not (proc / "self").exists():
        return False
    try:
        fields = (proc / found["pid"] / "stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return fields[0] == "Z" or fields[19] != found["started"]
