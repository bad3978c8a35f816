"""What we set back, against whom and how often: kept on the object, so that a fight is known as one. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.model.observation import Difference
from orchestrator.modes.agile.objects import HEALED, Object, annotation

_WINDOW = 3600.0  # seconds after which a healing is forgotten
_MOST = 20  # fields


def healed(live: Object, now: float) -> dict[str, dict[str, Any]]:
    """Field -> `by`, `times`, `at` (seconds since the epoch) of what was set back within the last hour."""
    try:
        data = json.loads(annotation(live, HEALED) or "{}")
        return {
            str(path): {"by": str(one["by"]), "times": int(one["times"]), "at": int(one["at"])}
            for path, one in data.items()
            if 0 <= now - one["at"] < _WINDOW
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def with_history(differences: Sequence[Difference], live: Object, now: float) -> tuple[Difference, ...]:
    """The differences, each with how often it was set back against the same manager lately."""
    if not differences:
        return ()
    before = healed(live, now)

    def known(difference: Difference) -> Difference:
        one = before.get(difference.path)
        same = one is not None and difference.by and one["by"] == difference.by
        return replace(difference, healed=one["times"]) if one is not None and same else difference

    return tuple(known(difference) for difference in differences)


def healing(differences: Sequence[Difference], live: Object, now: float) -> dict[str, str]:
    """The annotation to leave when these differences are set back; none where nobody else's are among them."""
    kept: Mapping[str, Any] = healed(live, now)
    made = {
        each.path: {"by": each.by, "times": each.healed + 1, "at": int(now)}
        for each in differences
        if each.by and not each.kept
    }
    latest = dict(list({**kept, **made}.items())[-_MOST:])
    return {HEALED: json.dumps(latest, separators=(",", ":"), sort_keys=True)} if latest else {}
