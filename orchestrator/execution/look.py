"""Seeing what is there: every site's drivers, side by side, and what that lets expressions know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from orchestrator import desired
from orchestrator.desired import Desired
from orchestrator.errors import DocumentsError
from orchestrator.execution.world import World
from orchestrator.model.address import MACHINE, Address, Mode
from orchestrator.model.change import Known
from orchestrator.model.observation import Note, Observation, Observed, Present, Tally, Unreachable
from orchestrator.model.record import Record
from orchestrator.model.unit import Unit

# Each further look is needed only where the one before has told something that other units depend on.
MOST_LOOKS = 4


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen, and what is desired given that."""

    desired: Desired
    known: Known
    observed: Mapping[Address, Observation]
    records: Mapping[Address, Record]
    notes: tuple[Note, ...]
    tally: Tally


def look(world: World, sites: Iterable[str]) -> Sight:
    """See all units of these sites, and what else of the estate is there.

    Raises DocumentsError where the documents do not resolve, DriverError where a mode cannot work at all.
    """
    started = world.clock()
    records = world.store.records()
    names = sorted(set(sites) & world.sites)
    with ThreadPoolExecutor(max_workers=max(1, min(world.parallel, len(names) or 1))) as pool:
        sights = list(pool.map(lambda site: _look_at(world, site, records), names))
    known = Known(
        machines=_merged(s.known.machines for s in sights),
        objects=_merged(s.known.objects for s in sights),
        hosts=world.hosts,
    )
    tally = sum((s.tally for s in sights), Tally())
    return Sight(
        desired=_together([s.desired for s in sights]),
        known=known,
        observed=_merged(s.observed for s in sights),
        records=records,
        notes=tuple(note for s in sights for note in s.notes),
        tally=replace(tally, seconds=world.clock() - started),
    )


def _together(parts: Sequence[Desired]) -> Desired:
    """What each site should be, as one: sites know nothing of each other."""
    return Desired(
        units=tuple(unit for part in parts for unit in part.units),
        outputs=_merged(part.outputs for part in parts),
        notes=tuple(note for part in parts for note in part.notes),
        diagnostics=tuple(diagnostic for part in parts for diagnostic in part.diagnostics),
    )


def _look_at(world: World, site: str, records: Mapping[Address, Record]) -> Sight:
    here = [record for record in records.values() if record.address.site == site]
    known = Known(
        machines={r.address: r.facts for r in here if r.address.kind == MACHINE and r.facts}, hosts=world.hosts
    )
    wanted = _resolved(world, known, frozenset({site}))
    tally = Tally()
    for _ in range(MOST_LOOKS):
        answers = _observe(world, site, wanted.units, here)
        tally = sum((a.tally for a in answers), tally)
        observed = _merged(a.units for a in answers)
        known = _known(world, wanted.units, observed, {r.address: r for r in here})
        before, wanted = wanted, _resolved(world, known, frozenset({site}))
        if wanted.units == before.units:
            break
    return Sight(
        desired=wanted,
        known=known,
        observed=observed,
        records={r.address: r for r in here},
        notes=tuple(note for a in answers for note in a.notes),
        tally=replace(tally, units=len(wanted.units)),
    )


def _observe(world: World, site: str, units: Iterable[Unit], records: Iterable[Record]) -> list[Observed]:
    def ask(mode: Mode) -> Observed:
        return world.drivers[site, mode].observe(
            [u for u in units if u.address.mode == mode], [r for r in records if r.address.mode == mode]
        )

    modes = [mode for mode in Mode if (site, mode) in world.drivers]
    if len(modes) < 2:
        return [ask(mode) for mode in modes]
    with ThreadPoolExecutor(max_workers=len(modes)) as pool:
        return list(pool.map(ask, modes))


def _known(
    world: World, units: Iterable[Unit], observed: Mapping[Address, Observation], records: Mapping[Address, Record]
) -> Known:
    """What outputs may refer to: a machine's facts, an object as it lives.

    What is not there is not known; a machine that does not answer is where it was.
    """
    machines: dict[Address, Mapping[str, Any]] = {}
    objects: dict[Address, Mapping[str, Any]] = {}
    for unit in units:
        address, seen = unit.address, observed.get(unit.address)
        if isinstance(seen, Present) and seen.facts and seen.stamp is not None:
            (objects if address.mode == Mode.AGILE else machines)[address] = seen.facts
        elif isinstance(seen, Unreachable) and address.kind == MACHINE and address in records:
            machines[address] = records[address].facts
    return Known(machines=machines, objects=objects, hosts=world.hosts)


def _resolved(world: World, known: Known, sites: frozenset[str]) -> Desired:
    found = desired.resolve(world.loaded, known, world.secrets, sites, world.render)
    errors = [d for d in found.diagnostics if d.severity == "error"]
    if errors:
        raise DocumentsError(errors)
    return found


K = TypeVar("K")
V = TypeVar("V")


def _merged(maps: Iterable[Mapping[K, V]]) -> dict[K, V]:
    merged: dict[K, V] = {}
    for one in maps:
        merged.update(one)
    return merged
