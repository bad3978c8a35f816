"""What differs, in words: inputs that changed, and fields that are not as they were left."""

from __future__ import annotations

import json
from collections.abc import Sequence

from orchestrator.model.address import CONFIGURATION, MACHINE, PROGRAM, Mode
from orchestrator.model.observation import Difference, Present
from orchestrator.model.record import Record
from orchestrator.model.unit import Stamp, Unit
from orchestrator.model.values import MASK, Secret, Unknown, Value, has_secret, masked

_MOST_ITEMS = 4
_LONGEST_VALUE = 60
_NOTHING = "nothing"
_LABELS, _DISKS = "labels", "disks"  # inputs of machines
FOUGHT_OVER = 2  # times that a field was set back before it is said that somebody else keeps changing it


def changed_inputs(unit: Unit, stamp: Stamp, record: Record | None) -> tuple[Difference, ...]:
    """The inputs whose digest is not the stamped one: old (where it is remembered) and new value.

    Files have no values here, only their name. The unit's inputs must be known.
    """
    now = unit.input_digests(stamp.salt)
    names = sorted(name for name in {*now, *stamp.inputs} if now.get(name) != stamp.inputs.get(name))
    remembered = record.inputs if record is not None and record.digest == stamp.digest else {}
    found: list[Difference] = []
    for name in names:
        if _is_file(unit, name):
            found.append(Difference(name))
        else:
            found += _split(name, remembered.get(name), unit.inputs.get(name), name in remembered)
    return tuple(found)


def changed_text(unit: Unit, stamp: Stamp, differences: Sequence[Difference]) -> str:
    """`vars.port 6379 → 6380, templates/orders-db.conf.j2`: from what is there to what should be."""
    gone = {name for name in stamp.inputs if name not in unit.inputs}
    added = {name for name in unit.inputs if name not in stamp.inputs}
    return _listed([_changed_item(unit, difference, gone, added) for difference in differences]) or _nothing_visible(
        unit
    )


def undeclared(unit: Unit, stamp: Stamp, differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """Inputs of a machine that are declared no more: what it has of them is left as it is, but for its labels."""
    if unit.address.kind != MACHINE:
        return ()
    gone = {name for name in stamp.inputs if name not in unit.inputs} - {_LABELS}
    return tuple(
        difference
        for difference in differences
        if difference.path in gone or (difference.path.startswith(f"{_DISKS}.") and difference.new is None)
    )


def undeclared_text(differences: Sequence[Difference]) -> str:
    """Their names."""
    return _listed([difference.path for difference in differences])


def _nothing_visible(unit: Unit) -> str:
    return "its manifest, in nothing that is there" if unit.address.mode == Mode.AGILE else "its inputs"


def drifted_text(unit: Unit, differences: Sequence[Difference]) -> str:
    """`spec.replicas 3 → 7 (kubectl)`: from how it was left to how it is."""
    return _listed([_drifted_item(unit, difference) for difference in differences])


def replaced_text(differences: Sequence[Difference]) -> str:
    """The fields that cannot be changed in place."""
    return _listed([difference.path for difference in differences if difference.replace])


def restarted_text(differences: Sequence[Difference]) -> str:
    """The fields that are changed while the machine does not run."""
    return _listed([difference.path for difference in differences if difference.restart])


def drift_of(unit: Unit, seen: Present) -> tuple[Difference, ...]:
    """The differences that did not come from the documents and are to be set back.

    With the digest as stamped, all of them. Otherwise a host's fingerprints (they compare with what was left there)
    and fields that somebody else has set. What is only reported is not among them.
    """
    if seen.stamp is None:
        return ()
    found = tuple(difference for difference in seen.differences if not difference.kept)
    if not unit.unknown and unit.digest(seen.stamp.salt) == seen.stamp.digest:
        return found
    if unit.address.kind == CONFIGURATION:
        return found
    return tuple(difference for difference in found if difference.by)


def _split(name: str, old: Value, new: Value, remembered: bool) -> list[Difference]:
    """One input's difference; of a mapping, its entries that differ."""
    if not remembered:
        return [Difference(name, None, new)]
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted({*old, *new}, key=str)
        parts = [
            _split(f"{name}.{key}", old.get(key), new.get(key), True)
            for key in keys
            if masked(old.get(key)) != masked(new.get(key))
        ]
        # Where nothing that can be shown differs, a secret inside does.
        return [difference for part in parts for difference in part] or [Difference(name, Secret(None), Secret(None))]
    return [Difference(name, old, new)]


def _is_file(unit: Unit, name: str) -> bool:
    return unit.address.kind in (CONFIGURATION, PROGRAM) and name != "ready" and not name.startswith("vars.")


def _changed_item(unit: Unit, difference: Difference, gone: set[str], added: set[str]) -> str:
    path, old, new = difference.path, difference.old, difference.new
    if path in gone:
        return f"{path} removed"
    if path in added:
        return f"{path} added"
    if _is_secret(old) or _is_secret(new):
        return f"{path} {MASK[:-1]}, changed)"
    if old is None and (new is None or _is_input(unit)):
        return path  # a file, or what it was is not remembered
    before, after = _shown(unit, old), _shown(unit, new)
    return f"{path} {before} → {after}" if before and after else path


def _is_input(unit: Unit) -> bool:
    return unit.address.kind in (CONFIGURATION, MACHINE, PROGRAM)


def _drifted_item(unit: Unit, difference: Difference) -> str:
    by = blamed(difference)
    path, there, left = difference.path, difference.old, difference.new
    if _is_secret(there) or _is_secret(left):
        return f"{path} {MASK[:-1]}, changed){by}"
    if there is None and left is None:
        return f"{path}{by}"
    before, after = _shown(unit, left), _shown(unit, there)
    return f"{path} {before} → {after}{by}" if before and after else f"{path}{by}"


def blamed(difference: Difference) -> str:
    """` (kubectl)`: who changed it, and whether that goes on and on; empty where nobody is known."""
    if not difference.by:
        return ""
    if difference.healed < FOUGHT_OVER:
        return f" ({difference.by})"
    return f" ({difference.by}, fought over: set back {difference.healed} times within the hour)"


def _is_secret(value: Value) -> bool:
    return has_secret(value) or value == MASK


def _shown(unit: Unit, value: Value) -> str:
    """A scalar as people write it; empty for what is too long or has parts."""
    if value is None:
        return _NOTHING
    if isinstance(value, Unknown):
        return str(value)
    if isinstance(value, dict | list):
        return ""
    text = value if isinstance(value, str) and _is_input(unit) else json.dumps(masked(value), ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else ""


def _listed(items: Sequence[str]) -> str:
    more = len(items) - _MOST_ITEMS
    return ", ".join(items[:_MOST_ITEMS]) + (f" and {more} more" if more > 0 else "")
