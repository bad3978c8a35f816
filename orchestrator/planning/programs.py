"""What is to be done with a Pulumi program that was applied before: what changed, and what the engine foresees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Difference, Present
from orchestrator.model.unit import Stamp, Unit
from orchestrator.planning.wording import changed_inputs, changed_text, replaced_text

_WORDS = (("create", "to create"), ("update", "to change"), ("replace", "to replace"), ("delete", "to delete"))
_NOTHING = "none of its resources differs"


def compared_program(base: Change, unit: Unit, seen: Present, stamp: Stamp) -> Change:
    """Nothing where it is as applied; else an update, or a replacement where a resource of it would be made anew."""
    if stamp.digest and unit.digest(stamp.salt) == stamp.digest and not seen.because:
        return base
    reasons = []
    changed = changed_inputs(unit, stamp, base.record) if stamp.inputs else ()
    if changed:
        reasons.append(f"changed: {changed_text(unit, stamp, changed)}")
    if seen.because:
        reasons.append(f"unfinished: {seen.because}")
    reasons.append(f"Pulumi: {foreseen(seen.differences)}")
    action = Action.UPDATE
    if forcing := replaced_text(seen.differences):
        action = Action.REPLACE
        reasons.append(f"cannot be changed in place: {forcing}")
    return replace(base, action=action, reason="; ".join(reasons), differences=seen.differences)


def foreseen(differences: Sequence[Difference]) -> str:
    """`2 to create, 1 to replace`: how many resources the engine would do what to."""
    kinds: dict[str, str] = {}
    for difference in differences:
        resource, kind = _resource(difference)
        if kind == "replace" or resource not in kinds:
            kinds[resource] = kind
    counts = Counter(kinds.values())
    return ", ".join(f"{counts[kind]} {words}" for kind, words in _WORDS if counts[kind]) or _NOTHING


def _resource(difference: Difference) -> tuple[str, str]:
    """A resource and what is done to it: `aws:Bucket assets` is a whole one, `aws:Bucket assets: tags.x` a part."""
    resource, is_part, _ = difference.path.rpartition(": ")
    if is_part:
        return resource, "replace" if difference.replace else "update"
    return difference.path, "create" if difference.old is None else "delete"
