"""Which units must come first because they make what others need: a kind, or a namespace, of another workload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from orchestrator.model.address import Address, Mode, WorkloadKey
from orchestrator.model.unit import Unit

_Place = tuple[str, str, str]  # site, `kind` or `namespace`, its name


def with_makers(units: list[Unit]) -> list[Unit]:
    """The units, each also needing the CustomResourceDefinition of its kind and the Namespace that it is in.

    Inside a workload its driver keeps the order. Where the maker's workload needs the unit's own, no need is added: the
    documents have said which comes first.
    """
    makers = {place: unit.address for unit in units if (place := _makes(unit)) is not None}
    if not makers:
        return units
    needed = _needed_workloads(units)
    return [_with(unit, makers, needed) for unit in units]


def _makes(unit: Unit) -> _Place | None:
    manifest = unit.spec.get("object")
    if unit.address.mode != Mode.AGILE or not isinstance(manifest, Mapping):
        return None
    if unit.address.kind == "Namespace":
        return unit.address.site, "namespace", unit.address.name
    spec = manifest.get("spec")
    if unit.address.kind != "CustomResourceDefinition.apiextensions.k8s.io" or not isinstance(spec, Mapping):
        return None
    names = spec.get("names")
    kind = names.get("kind") if isinstance(names, Mapping) else None
    return unit.address.site, "kind", f"{kind}.{spec.get('group')}"


def _with(unit: Unit, makers: Mapping[_Place, Address], needed: Mapping[WorkloadKey, frozenset[WorkloadKey]]) -> Unit:
    address = unit.address
    if address.mode != Mode.AGILE:
        return unit
    places = ((address.site, "kind", address.kind), (address.site, "namespace", address.name.rpartition("/")[0]))
    found = {
        maker
        for place in places
        if (maker := makers.get(place)) is not None
        and maker.workload_key != address.workload_key
        and address.workload_key not in _closure(maker.workload_key, needed)
    }
    return replace(unit, needs=unit.needs | found) if found else unit


def _needed_workloads(units: Iterable[Unit]) -> dict[WorkloadKey, frozenset[WorkloadKey]]:
    found: dict[WorkloadKey, set[WorkloadKey]] = {}
    for unit in units:
        found.setdefault(unit.address.workload_key, set()).update(need.workload_key for need in unit.needs)
    return {key: frozenset(needs) for key, needs in found.items()}


def _closure(key: WorkloadKey, needed: Mapping[WorkloadKey, frozenset[WorkloadKey]]) -> set[WorkloadKey]:
    found: set[WorkloadKey] = set()
    todo = [key]
    while todo:
        for each in needed.get(todo.pop(), frozenset()) - found:
            found.add(each)
            todo.append(each)
    return found
