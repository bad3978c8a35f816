"""One look at a site: what each host answers, turned into observations of units and of what else of ours is there."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from orchestrator.model.address import CONFIGURATION, MACHINE, Address
from orchestrator.model.observation import (
    Absent,
    Coverage,
    Observation,
    Observed,
    Present,
    Restart,
    Tally,
    Unreachable,
)
from orchestrator.model.record import Record
from orchestrator.model.unit import Stamp, Unit
from orchestrator.modes.stable import ready
from orchestrator.modes.stable.drifting import Looks, difference_of, ignored, path_of, patterns_of
from orchestrator.modes.stable.machine_sizes import differences_of
from orchestrator.modes.stable.machines import Machines, name_of
from orchestrator.modes.stable.place import Answer, Machine, Place
from orchestrator.modes.stable.playbooks.handlers import pending_of, shown
from orchestrator.modes.stable.provider_runs import RUNNING, Told
from orchestrator.modes.stable.reach.reaching import unreachable

# For how long hosts that answer are enough, in seconds.
ASK_AGAIN_S = 3600.0


class Look:
    """Everything that one look has found; made by `look`."""

    def __init__(self, place: Place, units: Sequence[Unit], known: Sequence[Record]) -> None:
        self.place = place
        self.units = {unit.address: unit for unit in units}
        self.records = {record.address: record for record in known}
        self.answers: dict[str, Answer] = {}
        self.told: Mapping[str, Told] | None = None
        self.untold = ""
        self.now = time.time()
        self.looks = Looks(place.site.scratch)

    def ask(self, hosts: set[str]) -> None:
        """Probe hosts that have not been probed yet."""
        commands: dict[str, dict[str, list[str]]] = {}
        for unit in self.units.values():
            if unit.address.kind == CONFIGURATION:
                wanted = ready.commands_of(ready.checks_of(unit.spec))
                commands.setdefault(str(unit.spec["host"]), {})[str(unit.address)] = wanted
        new = sorted(hosts - set(self.answers))
        self.answers |= self.place.ask({name: {"do": "look", "commands": commands.get(name, {})} for name in new})

    def slots(self, host: str) -> list[dict[str, Any]]:
        """What is stamped on a host; nothing where it does not answer."""
        answer = self.answers.get(host)
        return list(answer["slots"]) if isinstance(answer, dict) else []

    def slot_for(self, unit: Unit, host: str) -> dict[str, Any] | None:
        """What stands at a unit's identity on its host: under its own address first, then under any other."""
        slots = self.slots(host)
        own = [slot for slot in slots if slot["stamp"]["address"] == str(unit.address)]
        same = [slot for slot in slots if slot["stamp"].get("identity") == unit.identity]
        return next(iter(own + same), None)

    def foreign(self, unit: Unit, host: str) -> Stamp | None:
        """Another estate's stamp at a unit's identity."""
        answer = self.answers.get(host)
        others = answer["others"] if isinstance(answer, dict) else []
        return next((Stamp.from_data(stamp) for stamp in others if stamp.get("identity") == unit.identity), None)

    def intent(self, address: Address, host: str) -> dict[str, Any] | None:
        """What was begun at an address on a host and never finished."""
        return next((one for one in self.intents(host) if one["stamp"]["address"] == str(address)), None)

    def intents(self, host: str) -> list[dict[str, Any]]:
        """Everything that was begun on a host and never finished."""
        answer = self.answers.get(host)
        return list(answer["intents"]) if isinstance(answer, dict) else []


def look(place: Place, machines: Machines, units: Sequence[Unit], known: Sequence[Record]) -> Observed:
    """See the units, and whatever else of our estate is at this site. Raises DriverError where nothing can be asked."""
    started, requests, runs = time.monotonic(), place.requests, place.runs.started
    seen = Look(place, units, known)
    _recall_machines(seen)
    seen.ask(_hosts(seen))
    if place.provider.provisions and _provider_is_needed(seen):
        _ask_provider(seen, machines)
    found: dict[Address, Observation] = {}
    for unit in units:
        observed = _machine(seen, unit) if unit.address.kind == MACHINE else _configuration(seen, unit)
        found[unit.address] = replace(observed, seen_at=seen.now)
    found |= _reachable_ready(seen, found)
    strays = _strays(seen)
    seen.looks.save()
    for record in known:
        if record.address not in found:
            found[record.address] = strays.get(record.address) or replace(_gone(seen, record), seen_at=seen.now)
    tally = Tally(
        units=len(units),
        seconds=time.monotonic() - started,
        requests=place.requests - requests,
        ansible_runs=place.runs.started - runs,
    )
    return Observed({**strays, **found}, tally=tally)


def _recall_machines(seen: Look) -> None:
    """Machines that are known from records, unless this process knows them better."""
    for record in seen.records.values():
        name = name_of(record.identity)
        if record.address.kind == MACHINE and record.facts and name not in seen.place.machines:
            seen.place.machines[name] = Machine.of(name, record.address.workload, record.facts)


def _hosts(seen: Look) -> set[str]:
    if seen.place.provider.provisions:
        return set(seen.place.machines)
    listed = seen.place.listed()
    recorded = {str(record.spec.get("host")) for record in seen.records.values()}
    return {str(unit.spec["host"]) for unit in seen.units.values()} | (recorded & set(listed))


def _marker(place: Place) -> Any:
    return place.site.scratch / f"asked-{place.provider.name}"


def _provider_is_needed(seen: Look) -> bool:
    """Whether the hosts alone do not tell everything: a machine that does not say it is ours, or nobody asked lately.

    The marker lies beside the records: where both were lost, machines of ours may be there that no record names.
    It ages, because a host does not tell that its machine was resized, or that another one was made beside it.
    """
    for unit in seen.units.values():
        if unit.address.kind == MACHINE and seen.slot_for(unit, str(unit.spec["name"])) is None:
            return True
    if any(isinstance(answer, Unreachable) for answer in seen.answers.values()):
        return True
    return seen.place.must_ask or _asked_ago(seen) > ASK_AGAIN_S


def _asked_ago(seen: Look) -> float:
    """For how long the provider has not been asked, in seconds."""
    try:
        return seen.now - float(_marker(seen.place).stat().st_mtime)
    except OSError:
        return math.inf


def _ask_provider(seen: Look, machines: Machines) -> None:
    told, seen.untold = machines.told()
    if seen.untold:
        return
    seen.told = told
    workloads = {
        str(unit.spec["name"]): unit.address.workload for unit in seen.units.values() if unit.address.kind == MACHINE
    }
    place = seen.place
    moved = set()
    for name in set(place.machines) - set(told):
        del place.machines[name]
    for one in told.values():
        before = place.machines.get(one.name)
        stamped = one.stamp.address.workload if one.stamp and one.stamp.estate == place.site.estate_id else ""
        workload = workloads.get(one.name) or (before.workload if before else "") or stamped
        if not workload:
            continue
        if one.address or not before:  # else it is where it was, as far as is known
            place.machines[one.name] = Machine(one.name, workload, one.address, one.vars)
        if before and before.facts != place.machines[one.name].facts:
            moved.add(one.name)
    there = {name for name, machine in place.machines.items() if machine.address}
    running = {name for name, one in told.items() if one.state == RUNNING and name in there}
    for name in moved:
        seen.answers.pop(name, None)
    seen.ask(running)
    place.site.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    _marker(place).touch()
    place.must_ask = False


def _machine(seen: Look, unit: Unit) -> Present | Absent | Unreachable:
    name = str(unit.spec["name"])
    told = (seen.told or {}).get(name)
    slot = seen.slot_for(unit, name)
    facts = seen.place.machines[name].facts if name in seen.place.machines else {}
    if slot is not None and (told is None or told.state == RUNNING):
        stamp = Stamp.from_data(slot["stamp"])
        return Present(stamp, facts=facts, differences=differences_of(seen.place.provider, unit, stamp, told))
    if seen.untold:
        return unreachable(f"provider {seen.place.provider.name}: {seen.untold}")
    if told is None:
        return Absent()
    found = Present(told.stamp, facts=facts, differences=differences_of(seen.place.provider, unit, told.stamp, told))
    answer = seen.answers.get(name)
    if told.state != RUNNING:
        return replace(found, ready=False, because=f"the machine is {told.state}")
    if isinstance(answer, Unreachable) and told.stamp is not None:  # what is not ours need not let us in
        return answer
    return replace(found, ready=False, because="it was made, and not stamped yet")


def _configuration(seen: Look, unit: Unit) -> Present | Absent | Unreachable:
    host = str(unit.spec["host"])
    answer = seen.answers.get(host)
    if isinstance(answer, Unreachable):
        told = (seen.told or {}).get(host)
        return answer if told is None or told.state == RUNNING else unreachable(f"{host} is {told.state}")
    if answer is None:
        return _without_answer(seen, host)
    slot = seen.slot_for(unit, host)
    pending = shown(pending_of(seen.intent(unit.address, host), host, seen.place.site.scratch))
    if slot is not None:
        return replace(_stamped(seen, slot, patterns_of(unit.spec)), pending=pending)
    if pending:
        return Present(None, pending=pending)
    foreign = seen.foreign(unit, host)
    return Present(foreign) if foreign is not None else Absent()


def _without_answer(seen: Look, host: str) -> Absent | Unreachable:
    told = (seen.told or {}).get(host)
    if seen.untold:
        return unreachable(f"provider {seen.place.provider.name}: {seen.untold}")
    if told is not None:
        return unreachable(f"{host} is {told.state}")
    return Absent() if seen.place.provider.provisions else unreachable(f"{host} is not in the inventory")


def _stamped(seen: Look, slot: Mapping[str, Any], patterns: Sequence[str] = ()) -> Present:
    """What a configuration's slot tells, but for what is declared away. Facts: what it takes to undo it."""
    scrub = seen.place.site.scrub
    coverage = slot.get("coverage")
    because = scrub(str(slot.get("because") or ""))
    found = [one for one in slot["differences"] if not ignored(one, patterns)]
    address = str(slot["stamp"]["address"])
    seen.looks.add(address, [scrub(path_of(one)) for one in found], seen.now)
    differences = []
    for one in found:
        difference = difference_of(one, scrub)
        since = seen.looks.since(address, difference.path, float(one["since"]))
        differences.append(replace(difference, since=since))
    return Present(
        Stamp.from_data(slot["stamp"]),
        ready=not because,
        because=because,
        differences=tuple(differences),
        flapping=seen.looks.flapping(address),
        restarted=tuple(Restart(scrub(one["what"]), one["at"], one["itself"]) for one in slot["restarted"]),
        facts=dict(slot.get("undo") or {}),
        coverage=Coverage(coverage["verified"], coverage["total"], tuple(coverage["unverified"])) if coverage else None,
        seen_at=seen.now,
    )


def _reachable_ready(seen: Look, found: Mapping[Address, Observation]) -> dict[Address, Present]:
    """The configurations that are there but do not answer on their ports, tried side by side."""

    def check(unit: Unit, present: Present) -> Present:
        address = seen.place.address_of(str(unit.spec["host"]))
        why = ready.why_not_ready(ready.checks_of(unit.spec), address)
        return replace(present, ready=False, because=why) if why else present

    asked = [
        (unit, present)
        for unit in seen.units.values()
        if unit.address.kind == CONFIGURATION
        and isinstance(present := found[unit.address], Present)
        and present.ready
        and present.stamp is not None
        and present.stamp.estate == seen.place.site.estate_id
    ]
    if not asked:
        return {}
    with ThreadPoolExecutor(max_workers=min(32, len(asked))) as pool:
        checked = list(pool.map(lambda pair: check(*pair), asked))
    return {unit.address: present for (unit, _), present in zip(asked, checked, strict=True)}


def _strays(seen: Look) -> dict[Address, Observation]:
    """What bears our stamp and belongs to no unit: under the address it bears."""
    identities = {unit.identity for unit in seen.units.values()}
    found: dict[Address, Observation] = {}
    for host in sorted(seen.answers):
        for slot in seen.slots(host):
            stamp = Stamp.from_data(slot["stamp"])
            if (
                stamp.address in seen.units
                or stamp.identity in identities
                or stamp.address.site != seen.place.site.site
            ):
                continue
            present = _stamped(seen, slot)
            if stamp.address.kind == MACHINE and host in seen.place.machines:
                present = replace(present, facts=seen.place.machines[host].facts)
            found[stamp.address] = present
        for intent in seen.intents(host):
            # Begun, never finished, and no longer declared: what there is of it has to go as well.
            stamp = Stamp.from_data(intent["stamp"])
            if stamp.address not in seen.units and stamp.identity not in identities:
                facts = dict(intent["undo"])
                found.setdefault(stamp.address, Present(stamp, ready=False, because="never finished", facts=facts))
    for told in (seen.told or {}).values():
        stamp_told = told.stamp
        if stamp_told is None or stamp_told.estate != seen.place.site.estate_id or stamp_told.identity in identities:
            continue
        if stamp_told.address not in seen.units and stamp_told.address.site == seen.place.site.site:
            facts = Machine(told.name, stamp_told.address.workload, told.address, told.vars).facts
            found.setdefault(stamp_told.address, Present(stamp_told, facts=facts, seen_at=seen.now))
    return found


def _gone(seen: Look, record: Record) -> Absent | Unreachable:
    """What is to be said of a record at whose address nothing was found."""
    is_machine = record.address.kind == MACHINE
    host = name_of(record.identity) if is_machine else str(record.spec.get("host") or record.address.name)
    answer = seen.answers.get(host)
    if isinstance(answer, dict):
        return Absent()
    if seen.told is not None and host not in seen.told:
        return Absent()
    if isinstance(answer, Unreachable):
        return answer
    return _without_answer(seen, host)
