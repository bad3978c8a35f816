"""What is to be done with one unit: a table of guards, the first that matches is the change."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.model.address import PROGRAM, Mode
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Absent, Difference, Observation, Present, Unreachable
from orchestrator.model.record import Record
from orchestrator.model.unit import Stamp, Unit
from orchestrator.planning.programs import compared_program
from orchestrator.planning.wording import (
    changed_inputs,
    changed_text,
    drift_of,
    drifted_text,
    replaced_text,
    restarted_text,
    undeclared,
    undeclared_text,
)

NOT_THERE_YET = "not there yet"
DELETED_OUTSIDE = "was deleted outside"
AS_DECLARED = "as declared"
_OUR_LABELS = "metadata.labels[orchestrator.dev/"
AGAIN = "as declared, applied again as asked"
UNSEEN = "held: this site's document names nothing that could see it"


def change_for(
    unit: Unit,
    seen: Observation,
    record: Record | None,
    *,
    estate_id: str,
    adopting: bool = False,
    again: bool = False,
) -> Change:
    """The unit's change, for all that can be said of it alone; other units may still hold it, waves come later.

    With `adopting` it is taken over if it is not ours, with `again` it is applied although it is as declared.
    """
    base = Change(unit.address, Action.NONE, AS_DECLARED, unit=unit, seen=seen, record=record)
    match seen:
        case Unreachable():
            return replace(base, action=Action.HOLD, reason=unreachable(seen))
        case Present() if not is_ours(seen, estate_id) and not adopting:
            return replace(base, action=Action.CONFLICT, reason=_not_ours(unit, seen), differences=seen.differences)
        case Present() | Absent() if seen.refused:
            return replace(base, action=Action.CONFLICT, reason=_refused(seen))
        case _ if unit.unknown:
            differences = seen.differences if isinstance(seen, Present) else ()
            return replace(base, action=Action.LATER, reason="inputs known later", differences=differences)
        case Absent() if record is None or record.identity != unit.identity:
            return replace(base, action=Action.CREATE, reason=NOT_THERE_YET, differences=seen.differences)
        case Absent():
            differences = seen.differences
            return replace(base, action=Action.CREATE, reason=DELETED_OUTSIDE, differences=differences, drift=True)
        case Present() if not is_ours(seen, estate_id):
            return replace(
                base,
                action=Action.ADOPT,
                reason=f"there, but not ours{_made_by(seen)}: taken over",
                differences=seen.differences,
            )
        case Present():
            change = _compared(base, unit, seen)
            settled = change.action in (Action.NONE, Action.WAIT)
            return replace(change, action=Action.UPDATE, reason=AGAIN, drift=False) if again and settled else change


def is_ours(seen: Present, estate_id: str) -> bool:
    """Whether it bears our stamp, or was begun by us and never finished: only our own runs leave pending handlers."""
    return seen.stamp.estate == estate_id if seen.stamp is not None else bool(seen.pending)


def is_unchanged(change: Change) -> bool:
    """Whether the unit's resolved inputs are known and what was last applied."""
    unit, seen, record = change.unit, change.seen, change.record
    if unit is None or unit.unknown:
        return False
    if isinstance(seen, Present) and seen.stamp is not None:
        return unit.digest(seen.stamp.salt) == seen.stamp.digest
    # With no stamp there is no salt: of a unit with secrets nobody can tell.
    return record is not None and not unit.secret and unit.digest("") == record.digest


def unreachable(seen: Unreachable) -> str:
    """The reason of a unit that cannot be seen; the same text for all that share a cause."""
    return f"held: {seen.what} ({seen.cause or seen.why})"


def _not_ours(unit: Unit, seen: Present) -> str:
    whose = f"belongs to estate {seen.stamp.estate}" if seen.stamp else f"there, but not ours{_made_by(seen)}"
    return f"{whose}; to take it over: orchestrator adopt {unit.address}"


def _made_by(seen: Present) -> str:
    return f" (made by {seen.owner})" if seen.owner else ""


def _refused(seen: Present | Absent) -> str:
    return f"the cluster refuses it: {'; '.join(map(str, seen.refused))}"


def _pending(seen: Present) -> str:
    return f"pending handlers: {', '.join(seen.pending)}"


def _compared(base: Change, unit: Unit, seen: Present) -> Change:
    """Present and ours: everything that is not as declared, each with its reason; none of it: wait, or nothing."""
    stamp = seen.stamp
    if stamp is not None and unit.address.kind == PROGRAM:
        return compared_program(base, unit, seen, stamp)
    if stamp is None:  # begun and never finished
        return replace(base, action=Action.UPDATE, reason=_pending(seen))
    reasons: list[str] = []
    differences: tuple[Difference, ...] = ()
    same_digest = unit.digest(stamp.salt) == stamp.digest
    drift = drift_of(unit, seen)
    if stamp.address != unit.address:
        reasons.append(f"address moved from {stamp.address}")
        drift = tuple(each for each in drift if not each.path.startswith(_OUR_LABELS))  # they say where it was
    if not same_digest:
        differences, said = _declared(unit, seen, stamp, base.record)
        reasons += said
    if seen.pending:
        reasons.append(_pending(seen))
    if unit.address.mode == Mode.AGILE and bool(stamp.protected) != bool(unit.protected):
        reasons.append("is protected from now on" if unit.protected else "is protected no more")
    if drift:
        differences += drift
        reasons.append(f"drifted: {drifted_text(unit, drift)}")
    if not reasons:
        return _settled(base, unit, seen)
    action = Action.UPDATE
    if forcing := replaced_text(differences):
        action = Action.REPLACE
        reasons.append(f"cannot be changed in place: {forcing}")
    elif restarting := restarted_text(differences):
        reasons.append(f"restarts the machine: {restarting}")
    only_drift = bool(drift) and same_digest and stamp.address == unit.address and not seen.pending
    return replace(base, action=action, reason="; ".join(reasons), differences=differences, drift=only_drift)


def _declared(
    unit: Unit, seen: Present, stamp: Stamp, record: Record | None
) -> tuple[tuple[Difference, ...], list[str]]:
    """What the documents changed, and in words; what a machine was given and is declared no more costs nothing."""
    changed = _changed(unit, seen, stamp, record)
    left = undeclared(unit, stamp, changed)
    new = tuple(difference for difference in changed if difference not in left)
    said = [f"changed: {changed_text(unit, stamp, new)}"] if new or not left else []
    if left:
        said.append(f"no longer declared: {undeclared_text(left)} (left as it is)")
    return (*new, *(replace(difference, replace=False, restart=False) for difference in left)), said


def _changed(unit: Unit, seen: Present, stamp: Stamp, record: Record | None) -> tuple[Difference, ...]:
    """What the documents changed: an object's declared fields; otherwise inputs, with the old values we remember."""
    if unit.address.mode == Mode.AGILE:
        drift = drift_of(unit, seen)
        return tuple(each for each in seen.differences if each not in drift and not each.kept)
    how = {difference.path: difference for difference in seen.differences}

    def takes(changed: Difference) -> Difference:
        whole = how.get(changed.path) or how.get(changed.path.partition(".")[0])
        return replace(changed, replace=whole.replace, restart=whole.restart) if whole else changed

    return tuple(takes(changed) for changed in changed_inputs(unit, stamp, record))


def _settled(base: Change, unit: Unit, seen: Present) -> Change:
    """As we left it, but for what is only reported."""
    if kept := tuple(difference for difference in seen.differences if difference.kept):
        reported = f"drifted, only reported: {drifted_text(unit, kept)}"
        base = replace(base, reason=reported, differences=kept, drift=True)
    if seen.ready:
        return base
    why = f": {seen.because}" if seen.because else ""
    return replace(base, action=Action.WAIT, reason=f"as declared, not ready{why}")
