"""Plans in files: what was agreed to, without any secret, refused when what it was computed from has moved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from orchestrator.errors import StalePlanError
from orchestrator.model.address import Mode
from orchestrator.model.change import Change, Plan, Scope
from orchestrator.model.observation import Absent, Present, Unreachable
from orchestrator.model.values import masked

_VERSION = 2
_MAKE_ANOTHER = "make another one: orchestrator plan --out FILE"
_MOST_LINES = 10


def save(plan: Plan) -> dict[str, Any]:
    """The plan as JSON data: its scope, and each unit's action, reason and fingerprint."""
    return {
        "savedPlan": _VERSION,
        "estate": {"name": plan.estate, "id": plan.estate_id},
        "scope": _scope_data(plan.scope),
        "changes": [
            {
                "address": str(change.address),
                "action": str(change.action),
                "wave": change.wave,
                "reason": change.reason,
                "fingerprint": fingerprint(change),
            }
            for change in plan.changes
        ],
    }


def scope(saved: Mapping[str, Any]) -> Scope:
    """What a saved plan was limited to. Raises StalePlanError where the data is not a saved plan."""
    _check_form(saved)
    limits = saved["scope"]
    try:
        return Scope(
            sites=_set(limits["sites"]),
            placements=_set(limits["placements"]),
            modes=None if limits["modes"] is None else frozenset(Mode(mode) for mode in limits["modes"]),
            targets=None if limits["targets"] is None else tuple(str(target) for target in limits["targets"]),
            again=tuple(str(target) for target in limits["again"]),
        )
    except (KeyError, TypeError, ValueError):
        raise _not_a_plan() from None


def check_fresh(saved: Mapping[str, Any], now: Plan) -> None:
    """Compare a saved plan with the plan as it is now. Raises StalePlanError, naming what moved."""
    _check_form(saved)
    if saved["estate"].get("id") != now.estate_id:
        raise StalePlanError(
            f"the saved plan is one of estate {saved['estate'].get('name')}, not of {now.estate}", hint=_MAKE_ANOTHER
        )
    before = {str(entry["address"]): entry for entry in saved["changes"]}
    present = {str(change.address): change for change in now.changes}
    moved = [line for a in sorted({*before, *present}) if (line := _moved(a, before.get(a), present.get(a)))]
    if moved:
        more = [f"and {len(moved) - _MOST_LINES} more"] if len(moved) > _MOST_LINES else []
        lines = "\n  ".join(moved[:_MOST_LINES] + more)
        raise StalePlanError(f"the saved plan no longer describes what would happen:\n  {lines}", hint=_MAKE_ANOTHER)


def fingerprint(change: Change) -> str:
    """A hash of all that the change was computed from; of a secret that has no salt yet, nothing."""
    data = {
        "action": str(change.action),
        "desired": _desired(change),
        "seen": _seen(change),
        "differences": [
            [d.path, masked(d.old), masked(d.new), d.by, d.replace]
            for d in sorted(change.differences, key=lambda d: d.path)
        ],
    }
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, default=str)
    return sha256(text.encode()).hexdigest()[:32]


def _desired(change: Change) -> Any:
    unit = change.unit
    if unit is None:
        return None
    salt = change.seen.stamp.salt if isinstance(change.seen, Present) and change.seen.stamp else ""
    if unit.unknown or (unit.secret and not salt):
        return masked(dict(unit.inputs))
    return unit.digest(salt)


def _seen(change: Change) -> Any:
    match change.seen:
        case Present() as seen:
            stamp = [str(seen.stamp.address), seen.stamp.digest] if seen.stamp else None
            return ["present", stamp, seen.uid, list(seen.pending)]
        case Absent():
            return ["absent"]
        case Unreachable():
            return ["unreachable"]
        case None:
            return None


def _moved(address: str, before: Mapping[str, Any] | None, change: Change | None) -> str:
    """What moved of one unit; nothing where neither plan does anything about it."""
    was = str(before["action"]) if before else ""
    acts = change is not None and change.action.acts
    acted = before is not None and before.get("wave", 0) > 0
    if not acts and not acted:
        return ""
    if change is None:
        return f"{address}: was {was}, is no longer there"
    if before is None:
        return f"{address}: was not in it, is now {change.action} ({change.reason})"
    if was != change.action:
        return f"{address}: was {was}, is now {change.action} ({change.reason})"
    if before.get("fingerprint") != fingerprint(change):
        return f"{address}: {was} ({before.get('reason')}) is now from other values ({change.reason})"
    return ""


def _check_form(saved: Mapping[str, Any]) -> None:
    estate, changes, limits = saved.get("estate"), saved.get("changes"), saved.get("scope")
    if not isinstance(estate, dict) or not isinstance(changes, list) or not isinstance(limits, dict):
        raise _not_a_plan()
    if not all(isinstance(entry, dict) and {"address", "action", "fingerprint"} <= entry.keys() for entry in changes):
        raise _not_a_plan()
    if saved.get("savedPlan") != _VERSION:
        raise StalePlanError("the plan was saved by another version of orchestrator", hint=_MAKE_ANOTHER)


def _not_a_plan() -> StalePlanError:
    return StalePlanError("this is not a saved plan", hint=_MAKE_ANOTHER)


def _scope_data(limits: Scope) -> dict[str, Any]:
    return {
        "sites": _sorted(limits.sites),
        "placements": _sorted(limits.placements),
        "modes": _sorted(limits.modes),
        "targets": None if limits.targets is None else list(limits.targets),
        "again": list(limits.again),
    }


def _sorted(names: frozenset[Any] | None) -> list[str] | None:
    return None if names is None else sorted(str(name) for name in names)


def _set(names: Any) -> frozenset[str] | None:
    return None if names is None else frozenset(str(name) for name in names)
