"""Readiness: tcp and http checks from here to a machine's address; commands are run on the machine by the probe."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from orchestrator.model.values import has_unknown, revealed

QUICK_S = 2.0
PAUSE_S = 0.5

Check = Mapping[str, Any]
"""`{"tcp": port}`, `{"http": {"port", "path", "status", "tls"}}` or `{"command": text}`, with `within` in seconds."""

Commands = Callable[[list[str]], list[str]]
"""Runs commands on the machine -> why each failed; "" for those that did not."""


def checks_of(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A configuration's checks that are known by now, in clear."""
    return [revealed(check) for check in spec.get("ready") or () if not has_unknown(check)]


def commands_of(checks: Sequence[Check]) -> list[str]:
    """The commands among checks."""
    return [str(check["command"]) for check in checks if check.get("command")]


def why_not_ready(checks: Sequence[Check], address: str) -> str:
    """One quick try of every tcp and http check, side by side; "" where all hold."""
    asked = [check for check in checks if not check.get("command")]
    if not asked:
        return ""
    with ThreadPoolExecutor(max_workers=len(asked)) as pool:
        found = list(pool.map(lambda check: _try(check, address), asked))
    return "; ".join(why for why in found if why)


def wait(checks: Sequence[Check], address: str, commands: Commands, say: Callable[[str], None]) -> str:
    """Try each check until it holds or its time is over -> why the first one that never held does not; "" if all do.

    `say` is told what is waited for.
    """
    started = time.monotonic()
    for check in checks:
        deadline = started + float(check.get("within") or 60.0)
        why = _once(check, address, commands)
        while why and time.monotonic() + PAUSE_S < deadline:
            say(f"waiting: {why}")
            time.sleep(PAUSE_S)
            why = _once(check, address, commands)
        if why:
            return f"not ready within {float(check.get('within') or 60.0):g} s: {why}"
    return ""


def described(checks: Sequence[Check]) -> str:
    """What held, for a person: `ready: tcp 6380`."""
    return f"ready: {', '.join(_name(check) for check in checks)}" if checks else ""


def _once(check: Check, address: str, commands: Commands) -> str:
    return commands([str(check["command"])])[0] if check.get("command") else _try(check, address)


def _try(check: Check, address: str) -> str:
    try:
        told = _http(check["http"], address) if check.get("http") else _tcp(int(check["tcp"]), address)
    except TimeoutError:
        told = "no answer"
    except socket.gaierror:
        told = f"there is no address for the name {address}; give the host an `ansible_host`"
    except (OSError, http.client.HTTPException) as error:
        told = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
    return f"{_name(check)}: {told}" if told else ""


def _tcp(port: int, address: str) -> str:
    socket.create_connection((address, port), timeout=QUICK_S).close()
    return ""


def _http(wanted: Check, address: str) -> str:
    if wanted.get("tls"):
        # Whether it answers is asked, by address; whose certificate it has is its clients' to check.
        context = ssl._create_unverified_context()  # noqa: S323
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            address, int(wanted["port"]), timeout=QUICK_S, context=context
        )
    else:
        connection = http.client.HTTPConnection(address, int(wanted["port"]), timeout=QUICK_S)
    try:
        connection.request("GET", str(wanted.get("path") or "/"))
        status = connection.getresponse().status
    finally:
        connection.close()
    return "" if status == int(wanted.get("status") or 200) else f"answers {status}"


def _name(check: Check) -> str:
    if check.get("http"):
        return f"http {check['http']['port']}{check['http'].get('path') or '/'}"
    return f"tcp {check['tcp']}" if check.get("tcp") else "command"
