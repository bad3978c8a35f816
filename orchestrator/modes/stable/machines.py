"""Machines, had from their provider's playbooks, each stamped at the provider (tags) and on itself."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Present, Unreachable
from orchestrator.model.outcome import Outcome, Progress, Report, Result
from orchestrator.model.unit import Stamp, Unit
from orchestrator.model.values import revealed
from orchestrator.modes.stable.place import Machine, Place
from orchestrator.modes.stable.runs import Playbook, Ran

ESTATE_TAG, ADDRESS_TAG, STAMP_TAG = (f"orchestrator.dev/{name}" for name in ("estate", "address", "stamp"))
RUNNING = "running"
# How long a machine that was just made may take to answer, in seconds.
FIRST_ANSWER_S = 180.0
_PREFIX = "machine:"


@dataclass(frozen=True, slots=True)
class Told:
    """One machine as its provider tells it; `stamp` is None where its tags are not ours to read."""

    name: str
    address: str
    state: str
    vars: Mapping[str, Any]
    stamp: Stamp | None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Told:
        """From what a playbook gave by set_stats. Raises KeyError or TypeError where it is no machine."""
        tags = data.get("tags") or {}
        try:
            stamp = Stamp.from_data(json.loads(tags[STAMP_TAG]))
        except (KeyError, ValueError, TypeError):
            stamp = None
        state, variables = str(data.get("state") or RUNNING), dict(data.get("vars") or {})
        return cls(str(data["name"]), str(data.get("address") or ""), state, variables, stamp)


def name_of(identity: str) -> str:
    """The inventory name behind a machine's identity."""
    return identity.removeprefix(_PREFIX)


class Machines:
    """One site's machines, where its provider makes them."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def told(self) -> tuple[dict[str, Told], str]:
        """All machines that the provider tells by name; or none and why it does not."""
        ran, told = self._run("observe", [])
        return told, why(ran)

    def apply(self, changes: Sequence[Change], report: Report) -> Iterator[Outcome]:
        """Make, change, replace, let go of and remove the machines of one workload."""
        going = [c for c in changes if c.action in (Action.DELETE, Action.REPLACE)]
        failed: dict[Address, Outcome] = {}
        if going:
            failed = {outcome.address: outcome for outcome in self._remove(going, report)}
        yield from failed.values()
        for change in changes:
            if change.action == Action.DELETE and change.address not in failed:
                yield Outcome(change.address, Result.DONE)
            if change.action == Action.FORGET:
                yield self._forget(change)
        wanted = {
            c.address: c for c in changes if c.unit is not None and c.action not in (Action.DELETE, Action.FORGET)
        }
        wanted = {address: change for address, change in wanted.items() if address not in failed}
        if wanted:
            yield from self._ensure(list(wanted.values()), report)

    def _run(self, verb: str, machines: list[dict[str, Any]]) -> tuple[Ran, dict[str, Told]]:
        place = self._place
        ran = place.runs.run(
            Playbook(
                cwd=place.provider.folder,
                path=place.provider.playbook(verb),
                hosts=json.dumps({"all": {"hosts": {}}}),
                vars={
                    "orchestrator_site": place.site.site,
                    "orchestrator_estate": place.site.estate_id,
                    "orchestrator_python": sys.executable,
                    "orchestrator_machines": machines,  # type: ignore[dict-item] # plain JSON data
                },
            )
        )
        try:
            told = [Told.of(one) for one in ran.data.get("machines") or ()]
        except (KeyError, TypeError, AttributeError):
            ran.ended, told = False, []
            ran.complaint = f"provider {place.provider.name}: {verb}.yml gives no list of machines with names"
        return ran, {one.name: one for one in told}

    def _remove(self, changes: Sequence[Change], report: Report) -> list[Outcome]:
        """Remove what is still ours and at this very address; what went wrong."""
        there, reason = self.told()
        if reason:
            return [Outcome(c.address, Result.FAILED, reason) for c in changes]
        names, refused = [], []
        for change in changes:
            name, stamp = _name(change), None
            if name not in there:
                continue
            stamp = there[name].stamp
            expected = _stamped_address(change)
            if stamp is None or stamp.estate != self._place.site.estate_id or stamp.address != expected:
                whose = "bears no stamp" if stamp is None else f"bears the stamp of {stamp.address}"
                refused.append(Outcome(change.address, Result.FAILED, f"not removed: {name} {whose}"))
            else:
                report(Progress(change.address, "removing"))
                names.append(name)
        if names:
            ran, _ = self._run("remove", [{"name": name} for name in names])
            if reason := why(ran):
                refused += [Outcome(c.address, Result.FAILED, reason, log=ran.log()) for c in changes]
                return refused
            for name in names:
                self._place.machines.pop(name, None)
        return refused

    def _forget(self, change: Change) -> Outcome:
        """Take our tags off a machine, and our stamp; it stays."""
        name = _name(change)
        if self._place.provider.playbook("forget") is None:
            hint = f"take the tags {ESTATE_TAG}, {ADDRESS_TAG} and {STAMP_TAG} off it yourself"
            message = f"provider {self._place.provider.name} cannot let go of a machine; {hint}"
            return Outcome(change.address, Result.FAILED, message)
        ran, _ = self._run("forget", [{"name": name}])
        if reason := why(ran):
            return Outcome(change.address, Result.FAILED, reason, log=ran.log())
        self._place.ask({name: {"do": "remove", "address": str(_stamped_address(change))}})
        return Outcome(change.address, Result.DONE, "stays, and is not ours any more")

    def _ensure(self, changes: Sequence[Change], report: Report) -> Iterator[Outcome]:
        place = self._place
        wanted: list[tuple[Change, Unit, Stamp]] = []
        for change in changes:
            assert change.unit is not None
            report(Progress(change.address, "making it"))
            salt = change.seen.stamp.salt if isinstance(change.seen, Present) and change.seen.stamp else ""
            wanted.append((change, change.unit, change.unit.stamp(place.site.estate_id, salt or secrets.token_hex(16))))
        ran, told = self._run("ensure", [_wanted(unit, stamp) for _, unit, stamp in wanted])
        reason, log = why(ran), ran.log()
        for change, unit, stamp in wanted:
            machine = told.get(str(unit.spec["name"]))
            if reason or machine is None or machine.state != RUNNING:
                message = reason or (f"is {machine.state}" if machine else "the provider does not tell of it")
                failure = ran.failures.get("localhost")
                yield Outcome(change.address, Result.FAILED, message, log=log, task=failure.task if failure else "")
                continue
            known = Machine(machine.name, unit.address.workload, machine.address, machine.vars)
            place.machines[machine.name] = known
            yield self._stamped(change, known, stamp, log, report)

    def _stamped(self, change: Change, machine: Machine, stamp: Stamp, log: str, report: Report) -> Outcome:
        """Wait until a machine answers, and leave its stamp on it."""
        slot: dict[str, Any] = {"stamp": stamp.as_data(), "undo": {}, "coverage": None, "things": []}
        ask = {"do": "commit", "slot": slot, "key": secrets.token_hex(32)}
        deadline = time.monotonic() + FIRST_ANSWER_S
        answer = self._place.ask({machine.name: ask})[machine.name]
        while isinstance(answer, Unreachable) and time.monotonic() < deadline:
            report(Progress(change.address, f"waiting: {answer.why}"))
            time.sleep(1.0)
            answer = self._place.ask({machine.name: ask})[machine.name]
        if isinstance(answer, Unreachable):
            return Outcome(change.address, Result.UNREACHABLE, answer.why, log=log, facts=machine.facts)
        return Outcome(change.address, Result.DONE, log=log, facts=machine.facts, digest=stamp.digest)


def why(ran: Ran) -> str:
    """Why a provider's run did not do what it should; "" where it did."""
    if failure := ran.failures.get("localhost"):
        return f"{failure.task}: {failure.message}" if failure.task else failure.message
    return "" if ran.ended and not ran.failed else ran.complaint or "the provider's playbook failed"


def _name(change: Change) -> str:
    if change.unit is not None:
        return str(change.unit.spec["name"])
    if change.record is not None:
        return name_of(change.record.identity)
    stamp = change.seen.stamp if isinstance(change.seen, Present) else None
    return name_of(stamp.identity) if stamp else change.address.name


def _stamped_address(change: Change) -> Address:
    """Under which address the thing stands that goes away: another one where it has moved and is replaced."""
    stamp = change.seen.stamp if isinstance(change.seen, Present) else None
    return stamp.address if stamp else change.address


def _wanted(unit: Unit, stamp: Stamp) -> dict[str, Any]:
    spec = revealed(dict(unit.spec))
    tags = {
        ESTATE_TAG: stamp.estate,
        ADDRESS_TAG: str(stamp.address),
        STAMP_TAG: json.dumps(stamp.as_data(), sort_keys=True, separators=(",", ":")),
    }
    return {"name": spec.pop("name"), "spec": spec, "tags": tags}
