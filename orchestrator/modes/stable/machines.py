"""Machines, had from their provider's playbooks, each stamped at the provider (tags) and on itself."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Present, Unreachable
from orchestrator.model.outcome import Outcome, Progress, Report, Result
from orchestrator.model.unit import Stamp, Unit
from orchestrator.model.values import Value
from orchestrator.modes.stable.machine_sizes import sizes_of
from orchestrator.modes.stable.place import Machine, Place
from orchestrator.modes.stable.provider_runs import (
    ADDRESS_TAG,
    ESTATE_TAG,
    RUNNING,
    STAMP_TAG,
    Answer,
    ProviderRuns,
    Told,
)
from orchestrator.modes.stable.reach.reaching import first_answer

CONSOLE_LINES = 5
_PREFIX = "machine:"
_GOING = (Action.DELETE, Action.FORGET)


def name_of(identity: str) -> str:
    """The inventory name behind a machine's identity."""
    return identity.removeprefix(_PREFIX)


def name_of_machine(change: Change) -> str:
    """The inventory name of the machine that a machine's change is about."""
    if change.unit is not None:
        return str(change.unit.spec["name"])
    if change.record is not None:
        return name_of(change.record.identity)
    stamp = change.seen.stamp if isinstance(change.seen, Present) else None
    return name_of(stamp.identity) if stamp else change.address.name


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A machine that should be, and the stamp that it is to bear."""

    change: Change
    unit: Unit
    stamp: Stamp

    @property
    def name(self) -> str:
        """The machine's inventory name."""
        return str(self.unit.spec["name"])

    def item(self) -> dict[str, Value]:
        """What the provider's playbooks are told of it."""
        stamp = json.dumps(self.stamp.as_data(), sort_keys=True, separators=(",", ":"))
        tags: dict[str, Value] = {
            ESTATE_TAG: self.stamp.estate,
            ADDRESS_TAG: str(self.stamp.address),
            STAMP_TAG: stamp,
        }
        spec = {key: value for key, value in self.unit.spec.items() if key != "name"}
        adopt = self.change.action == Action.ADOPT
        return {"name": self.name, "spec": spec, "bytes": sizes_of(spec), "tags": tags, "adopt": adopt}


class Machines:
    """One site's machines, where its provider makes them."""

    def __init__(self, place: Place, runs: ProviderRuns) -> None:
        self._place = place
        self._runs = runs

    def told(self) -> tuple[Mapping[str, Told], str]:
        """All machines that the provider tells by name; or none and why it does not."""
        answer = self._runs.run("observe")
        return answer.machines, answer.why

    def apply(self, changes: Sequence[Change], report: Report) -> Iterator[Outcome]:
        """Make, change, replace, let go of and remove the machines of one workload."""
        if forgotten := [c for c in changes if c.action == Action.FORGET]:
            yield from self._forget(forgotten)
        going = [c for c in changes if c.action in (Action.DELETE, Action.REPLACE)]
        failed = {outcome.address: outcome for outcome in self._remove(going, report)} if going else {}
        yield from failed.values()
        gone = [c for c in going if c.action == Action.DELETE and c.address not in failed]
        yield from (Outcome(change.address, Result.DONE) for change in gone)
        coming = [c for c in changes if c.unit is not None and c.action not in _GOING and c.address not in failed]
        if coming:
            yield from self._ensure([self._wanted(c, c.unit) for c in coming if c.unit], report)

    def _wanted(self, change: Change, unit: Unit) -> _Wanted:
        salt = change.seen.stamp.salt if isinstance(change.seen, Present) and change.seen.stamp else ""
        return _Wanted(change, unit, unit.stamp(self._place.site.estate_id, salt or secrets.token_hex(16)))

    def _remove(self, changes: Sequence[Change], report: Report) -> list[Outcome]:
        """Remove what is still ours and at this very address; what went wrong."""
        there, reason = self.told()
        if reason:
            return [Outcome(c.address, Result.FAILED, reason) for c in changes]
        going, refused = [], []
        for change in changes:
            name = name_of_machine(change)
            if name not in there:
                continue
            if whose := self._not_ours(there[name].stamp, _stamped_address(change)):
                refused.append(Outcome(change.address, Result.FAILED, f"not removed: {name} {whose}"))
                continue
            report(Progress(change.address, "removing"))
            going.append(change)
        if going:
            refused += self._removed(going, self._runs.run("remove", [{"name": name_of_machine(c)} for c in going]))
        return refused

    def _not_ours(self, stamp: Stamp | None, expected: Address) -> str:
        if stamp is None:
            return "bears no stamp"
        ours = stamp.estate == self._place.site.estate_id and stamp.address == expected
        return "" if ours else f"bears the stamp of {stamp.address}"

    def _removed(self, changes: Sequence[Change], answer: Answer) -> Iterator[Outcome]:
        for change in changes:
            why, task = answer.failure(name_of_machine(change))
            if why:
                yield Outcome(change.address, Result.FAILED, why, task=task, log=answer.log)
            else:
                self._place.machines.pop(name_of_machine(change), None)

    def _forget(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        """Take our tags off machines, and our stamps; they stay."""
        if not self._runs.can("forget"):
            hint = f"take the tags {ESTATE_TAG}, {ADDRESS_TAG} and {STAMP_TAG} off it yourself"
            message = f"provider {self._place.provider.name} cannot let go of a machine; {hint}"
            yield from (Outcome(change.address, Result.FAILED, message) for change in changes)
            return
        answer = self._runs.run("forget", [{"name": name_of_machine(change)} for change in changes])
        for change in changes:
            name = name_of_machine(change)
            why, task = answer.failure(name)
            if why:
                yield Outcome(change.address, Result.FAILED, why, task=task, log=answer.log)
                continue
            self._place.ask({name: {"do": "remove", "address": str(_stamped_address(change))}})
            yield Outcome(change.address, Result.DONE, "stays, and is not ours any more")

    def _ensure(self, wanted: Sequence[_Wanted], report: Report) -> Iterator[Outcome]:
        addresses = {one.name: one.change.address for one in wanted}

        def watch(host: str, task: str) -> None:
            if host in addresses:
                report(Progress(addresses[host], task))

        for one in wanted:
            report(Progress(one.change.address, "making it"))
        answer = self._runs.run("ensure", [one.item() for one in wanted], watch)
        made = []
        for one in wanted:
            why, task = answer.failure(one.name)
            told = answer.machines.get(one.name)
            if why or told is None or told.state != RUNNING:
                why = why or (f"is {told.state}" if told else "the provider does not tell of it")
                yield Outcome(one.change.address, Result.FAILED, why, task=task, log=answer.log)
                continue
            self._place.machines[one.name] = Machine(one.name, one.unit.address.workload, told.address, told.vars)
            made.append(one)
        if made:
            yield from self._settled(made, answer.log, report)

    def _settled(self, made: Sequence[_Wanted], log: str, report: Report) -> Iterator[Outcome]:
        """Stamp each as soon as it answers; those that do not are told with the last of their consoles."""
        silent = []
        with ThreadPoolExecutor(max_workers=min(32, len(made))) as pool:
            futures = {pool.submit(self._stamped, one, log, report): one for one in made}
            for future in as_completed(futures):
                outcome = future.result()
                if outcome.result == Result.DONE:
                    yield outcome
                else:
                    silent.append((futures[future], outcome))
        if not silent:
            return
        consoles = self._consoles([one.name for one, _ in silent])
        for one, outcome in silent:
            lines = consoles.get(one.name, "").strip().splitlines()
            said = "; its console ends:\n" + "\n".join(lines[-CONSOLE_LINES:]) if lines else ""
            text = f"{log}\nconsole of {one.name}:\n" + "\n".join(lines) if lines else log
            yield replace(outcome, message=f"{outcome.message}{said}", log=text)

    def _consoles(self, names: Sequence[str]) -> Mapping[str, str]:
        if not self._runs.can("console"):
            return {}
        return self._runs.run("console", [{"name": name} for name in names]).consoles

    def _stamped(self, one: _Wanted, log: str, report: Report) -> Outcome:
        """Wait until a machine answers, and leave its stamp on it."""
        address, machine = one.change.address, self._place.machines[one.name]
        if not machine.address:
            why = "it runs, and has got no address; look at its network, and apply again"
            return Outcome(address, Result.FAILED, why, log=log)
        slot: dict[str, Any] = {"stamp": one.stamp.as_data(), "undo": {}, "coverage": None, "things": []}
        ask = {"do": "commit", "slot": slot, "key": secrets.token_hex(32)}
        deadline = time.monotonic() + first_answer()
        answer = self._place.ask({one.name: ask})[one.name]
        while isinstance(answer, Unreachable) and time.monotonic() < deadline:
            report(Progress(address, f"waiting: {answer.why}"))
            time.sleep(1.0)
            answer = self._place.ask({one.name: ask}, fresh=True)[one.name]
        if isinstance(answer, Unreachable):
            return Outcome(address, Result.UNREACHABLE, answer.why, log=log, facts=machine.facts)
        return Outcome(address, Result.DONE, log=log, facts=machine.facts, digest=one.stamp.digest)


def _stamped_address(change: Change) -> Address:
    """Under which address the thing stands that goes away: another one where it has moved and is replaced."""
    stamp = change.seen.stamp if isinstance(change.seen, Present) else None
    return stamp.address if stamp else change.address
