"""Handlers that were notified and have not run, remembered across whatever ended a run.

Before a playbook changes anything, an intent with a random token is written on the host; the run's callback plugin
keeps the journal of handlers here, under that token. After a run that failed, the intent on the host names the handlers
itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ALL = "*"  # an interrupted run of which no journal is left: any of its handlers may have been notified
KEPT_S = 90 * 24 * 3600  # a host that was not applied for longer runs all handlers instead
ALL_TEXT = "those of an interrupted run"


def journal_of(scratch: Path, token: str) -> Path:
    """Where a run's handlers are written down; its folder is made."""
    folder = scratch / "handlers"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{token}.json"


def journaled(scratch: Path, token: str) -> dict[str, list[str]] | None:
    """What a run's journal says: host -> handlers; None where there is none."""
    try:
        data = json.loads(journal_of(scratch, token).read_text())
        return {str(host): [str(name) for name in names] for host, names in data["hosts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_journal(scratch: Path, token: str, pending: Mapping[str, list[str]]) -> None:
    """Begin a run's journal with the handlers that earlier runs have left over; journals of long ago go."""
    for old in (scratch / "handlers").glob("*.json"):
        if time.time() - old.stat().st_mtime > KEPT_S:
            old.unlink(missing_ok=True)
    path = journal_of(scratch, token)
    path.touch(mode=0o600)
    path.write_text(json.dumps({"token": token, "hosts": dict(pending)}))


def pending_of(intent: Mapping[str, Any] | None, host: str, scratch: Path) -> list[str]:
    """The handlers that a host still has to run, given the intent that was found on it."""
    if intent is None:
        return []
    if intent.get("pending") is not None:
        return [str(name) for name in intent["pending"]]
    found = journaled(scratch, str(intent.get("token", "")))
    return [ALL] if found is None else found.get(host, [])


def shown(names: list[str]) -> tuple[str, ...]:
    """For a person."""
    return tuple(ALL_TEXT if name == ALL else name for name in names)
