"""What a machine is given, compared with what it was made with and with what its provider says that it has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.model.observation import Difference
from orchestrator.model.unit import Stamp, Unit
from orchestrator.model.values import Value
from orchestrator.modes.stable.provider_runs import Told
from orchestrator.modes.stable.providers import REPLACE, RESTART, Provider

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_UNITS["Ti"] = 1 << 40
_LEAST = _UNITS["Mi"]  # what is less is how a provider rounds: `1G` is no whole number of mebibytes
_SIZES = ("memory", "disk")
_TOLD = ("cpu", *_SIZES)  # what providers can tell of a machine


def bytes_of(quantity: Value) -> int | None:
    """A size such as `4Gi` in bytes; None where it is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]i?|)", str(quantity))
    return round(float(found[1]) * _UNITS[found[2]]) if found else None


def sizes_of(spec: Mapping[str, Value]) -> dict[str, Value]:
    """All sizes of a machine's spec in bytes, as playbooks calculate with them: {"memory", "disk", "disks": {...}}."""
    sizes: dict[str, Value] = {name: bytes_of(spec[name]) for name in _SIZES if name in spec}
    disks = spec.get("disks")
    if isinstance(disks, Mapping):
        sizes["disks"] = {name: bytes_of(disk["size"]) for name, disk in disks.items() if isinstance(disk, Mapping)}
    return sizes


def differences_of(provider: Provider, unit: Unit, stamp: Stamp | None, told: Told | None) -> tuple[Difference, ...]:
    """The inputs that are not those it was made with, or not what the provider says; what each takes to mend."""
    if stamp is None or unit.unknown:
        return ()
    now = unit.input_digests(stamp.salt)
    names = sorted(name for name in {*now, *stamp.inputs} if now.get(name) != stamp.inputs.get(name))
    found = [Difference(name, new=unit.inputs.get(name)) for name in names]
    actual = told.spec if told is not None else {}
    for name in _TOLD if actual else ():
        if name not in actual or name not in unit.inputs or name in names:
            continue
        old, new = actual[name], unit.inputs[name]
        if _differ(name, old, new):
            found.append(Difference(name, old=_shown(name, old), new=new))
    return tuple(_with_cost(provider, difference, names) for difference in found)


def _with_cost(provider: Provider, difference: Difference, changed: list[str]) -> Difference:
    """What was changed outside is put right in place where that can be; only documents make a new machine."""
    how, name = provider.how(difference.path), difference.path
    return Difference(name, difference.old, difference.new, "", how == REPLACE and name in changed, how == RESTART)


def _differ(name: str, old: Any, new: Value) -> bool:
    if name not in _SIZES:
        return bool(old != new)
    before, after = bytes_of(old), bytes_of(new)
    return before != after and (before is None or after is None or abs(before - after) >= _LEAST)


def _shown(name: str, value: Any) -> Value:
    """A size as people write it."""
    size = bytes_of(value) if name in _SIZES else None
    if size is None:
        return value if isinstance(value, str | int | float | bool) else str(value)
    unit = next((unit for unit in ("Ti", "Gi", "Mi", "Ki") if size and size % _UNITS[unit] == 0), "")
    return f"{size // _UNITS[unit]}{unit}"
