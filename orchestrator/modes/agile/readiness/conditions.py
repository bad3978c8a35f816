"""Readiness as a blueprint declares it: a CEL condition over the live object, in the place of kstatus' rules. Pure."""

from __future__ import annotations

import functools
from typing import Any

from orchestrator.model.unit import Unit
from orchestrator.modes.agile.objects import Object
from orchestrator.modes.agile.readiness.rules import READY, Readiness, is_settling, readiness


def readiness_of(unit: Unit | None, live: Object) -> Readiness:
    """Whether a unit's object works, by its own condition or the rules for its kind.

    A condition is asked once the object's controller has seen what was applied; a failure is one with it, too.
    """
    state = readiness(live)
    condition = unit.spec.get("ready") if unit is not None else None
    if not isinstance(condition, str) or state.failed or is_settling(live):
        return state
    why = _why_not(condition, live)
    return Readiness(False, f"waits for {condition}{why}") if why is not None else READY


def _why_not(condition: str, live: Object) -> str | None:
    """What more is to be said of a condition that does not hold; None where it holds."""
    result = _compiled(condition).eval(data={"object": live})
    if result.type().name() == "ERROR":
        return f" ({str(result.value()).partition(': ')[2] or result.value()})"
    return None if result.plain_value() is True else ""


@functools.lru_cache(maxsize=256)
def _compiled(condition: str) -> Any:
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_strings

    environment = cel.NewEnv(variables={"object": cel.Type.DYN}, extensions=[ext_strings.ExtStrings()])
    return environment.compile(condition)
