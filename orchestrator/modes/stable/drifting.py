"""Differences that the probe has found, for people: named, without what is declared away, since when, how often.

What was seen before is kept in `looks.json` of the site's scratch folder, a cache: address -> when it was last seen
without a difference, and its last looks since the first one that had any.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from orchestrator.model.observation import Difference, Flapping

MOST = 10  # looks that are remembered of an address
OFTEN = 3  # how often a difference must have come in them to be called flapping
HASH = re.compile(r"[0-9a-f]{32,64}")


def path_of(one: Mapping[str, Any]) -> str:
    """What a person calls a difference, and writes under `ignore:` to declare it away."""
    return f"{one['label']} {one['aspect']}".rstrip()


def ignored(one: Mapping[str, Any], patterns: Sequence[str]) -> bool:
    """Whether a difference is declared away: a pattern fits its thing, or this aspect of it."""
    return any(fnmatchcase(name, pattern) for name in (str(one["label"]), path_of(one)) for pattern in patterns)


def patterns_of(spec: Mapping[str, Any]) -> list[str]:
    """What a configuration's `ignore:` says."""
    return [str(pattern) for pattern in spec.get("ignore") or ()]


def difference_of(one: Mapping[str, Any], scrub: Callable[[str], str] = str) -> Difference:
    """A difference that the probe has found, for a person: hashes are cut short."""
    path, old, new = scrub(path_of(one)), one["old"], one["new"]
    return Difference(path, old=_short(one, old, scrub), new=_short(one, new, scrub))


def _short(one: Mapping[str, Any], value: Any, scrub: Callable[[str], str]) -> Any:
    if value is None:
        return None
    return str(value)[:8] if HASH.fullmatch(str(value)) and one["aspect"] != "commit" else scrub(str(value))


class Looks:
    """What earlier looks at a site have seen."""

    def __init__(self, scratch: Path) -> None:
        self._path = scratch / "looks.json"
        try:
            self._kept: dict[str, dict[str, Any]] = dict(json.loads(self._path.read_text()))
        except (OSError, ValueError, TypeError):
            self._kept = {}

    def add(self, address: str, paths: Sequence[str], now: float) -> None:
        """Remember that a configuration was seen with differences in these paths, or with none."""
        known = self._kept.setdefault(address, {"clean": 0.0, "looks": []})
        if known["looks"] or paths:
            known["looks"] = [*known["looks"], [now, sorted(paths)]][-MOST:]
        if not paths:
            known["clean"] = now
            if not any(seen for _, seen in known["looks"]):
                known["looks"] = []

    def since(self, address: str, path: str, changed: float) -> tuple[float, float] | None:
        """Between which times a difference began (both are the same where that is known exactly); None if unknown.

        `changed` is when the host itself says that the thing was last changed, or 0.
        """
        known = self._kept[address]
        first, before = 0.0, float(known["clean"])
        for at, seen in reversed(known["looks"]):
            if path not in seen:
                before = float(at)
                break
            first = float(at)
        if changed and before <= changed <= first:
            return changed, changed
        return (before, first) if before and first else None

    def flapping(self, address: str) -> tuple[Flapping, ...]:
        """The differences that come and go."""
        looks = [set(seen) for _, seen in self._kept[address]["looks"]]
        found = []
        for path in sorted(set().union(*looks)):
            times = sum(path in seen and (i == 0 or path not in looks[i - 1]) for i, seen in enumerate(looks))
            if times >= OFTEN:
                found.append(Flapping(path, times, len(looks)))
        return tuple(found)

    def save(self) -> None:
        """Keep them; where that cannot be done, the next look knows less."""
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}.part")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.write_text(json.dumps(self._kept))
            part.replace(self._path)
