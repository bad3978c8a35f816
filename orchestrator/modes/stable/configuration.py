"""Configurations: one playbook run for all hosts of a workload, then readiness, then the stamp; and undoing them.

begin   on each host: see what stands there, and write down that something is about to change
run     ansible-playbook once, limited to these hosts
settle  on each host: wait until it is ready, then fingerprint and stamp it; or write down what is left to do
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.errors import DriverError
from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Coverage, Present, Unreachable
from orchestrator.model.outcome import Outcome, Progress, Report, Result
from orchestrator.model.unit import Unit
from orchestrator.model.values import Value, revealed
from orchestrator.modes.stable import ready
from orchestrator.modes.stable.drifting import difference_of, ignored, patterns_of
from orchestrator.modes.stable.place import Place
from orchestrator.modes.stable.playbooks import requirements
from orchestrator.modes.stable.playbooks.advice import advised
from orchestrator.modes.stable.playbooks.handlers import journal_of, journaled, pending_of, write_journal
from orchestrator.modes.stable.playbooks.runs import Playbook, Ran
from orchestrator.modes.stable.playbooks.verdicts import elsewhere, failed_outcome, named
from orchestrator.modes.stable.scrubbing import scrubber_for

UNDO = ("host", "playbook", "remove", "label")
_SHARED = ("playbook", "roles", "folder", "vars", "tags", "skipTags")  # what units of one run have in common


@dataclass(frozen=True, slots=True)
class Checked:
    """What check mode told of one host: the tasks that would change something, with file:line; why it broke off."""

    tasks: tuple[tuple[str, str], ...]
    failed: str = ""


@dataclass
class Job:
    """One host's part of an apply."""

    change: Change
    unit: Unit
    host: str
    stamp: dict[str, Any]
    before: list[dict[str, Any]] = field(default_factory=list)
    carried: list[str] = field(default_factory=list)
    unwritten: bool = False  # what is left to do could not be written down on the host

    @property
    def address(self) -> Address:
        """The unit's address."""
        return self.change.address

    @property
    def undo(self) -> dict[str, Any]:
        """What it takes to undo it later."""
        return {key: self.unit.spec.get(key) for key in UNDO}

    @property
    def runs(self) -> bool:
        """Whether there is anything to run."""
        return runs_anything(self.unit.spec)


class Configurations:
    """One site's configurations."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def prepare(self, changes: Sequence[Change]) -> None:
        """Begin the process of the first playbook that these changes run."""
        for change in changes:
            if change.unit is not None and change.action != Action.WAIT and runs_anything(change.unit.spec):
                self._place.runs.prepare(folder_of(change.unit.spec))
                return

    def apply(self, changes: Sequence[Change], report: Report) -> Iterator[Outcome]:
        """Make the changes of one workload: its units, or its removals."""
        ups = [c for c in changes if c.unit is not None and c.action not in (Action.DELETE, Action.FORGET)]
        of = {change.unit.address: change for change in ups if change.unit}
        for group in alike([change.unit for change in ups if change.unit]):
            with self._place.held(str(unit.spec["host"]) for unit in group):
                yield from self._converge([of[unit.address] for unit in group], report)

    def _converge(self, changes: Sequence[Change], report: Report) -> Iterator[Outcome]:
        token = secrets.token_hex(8)
        jobs = [self._job(change) for change in changes]
        waiting = [job for job in jobs if job.change.action == Action.WAIT]
        settled = {job.address: outcome for job in waiting if (outcome := self._already_ready(job))}
        yield from settled.values()
        jobs, unreached = self._begin([job for job in jobs if job.address not in settled], token)
        yield from unreached
        write_journal(self._place.site.scratch, token, {job.host: job.carried for job in jobs})
        running = [job for job in jobs if job.runs]
        ran = self._run(running, token, report) if running else Ran(ended=True)
        yield from self._settle(jobs, ran, token, report)

    def _job(self, change: Change) -> Job:
        unit = change.unit
        assert unit is not None
        seen = change.seen.stamp if isinstance(change.seen, Present) else None
        salt = (seen.salt if seen else "") or secrets.token_hex(16)
        stamp = unit.stamp(self._place.site.estate_id, salt).as_data()
        return Job(change, unit, str(unit.spec["host"]), stamp)

    def _already_ready(self, job: Job) -> Outcome | None:
        """As declared and only not ready when it was seen: if it is by now, there is nothing to do."""
        checks = ready.checks_of(job.unit.spec)
        if ready.why_not_ready(checks, self._place.address_of(job.host)):
            return None
        commands = ready.commands_of(checks)
        if commands and any(self._commands(job.host, commands)):
            return None
        return Outcome(job.address, Result.DONE, ready.described(checks), digest=job.stamp["digest"])

    def _begin(self, jobs: Sequence[Job], token: str) -> tuple[list[Job], list[Outcome]]:
        """Write down on each host that it is about to change -> the jobs that go on, and those that cannot."""
        intents = {job.host: {"stamp": job.stamp, "undo": job.undo, "token": token, "pending": None} for job in jobs}
        answers = self._place.ask({host: {"do": "begin", "intent": intent} for host, intent in intents.items()})
        going, lost = [], []
        for job in jobs:
            answer = answers[job.host]
            if isinstance(answer, Unreachable):
                lost.append(Outcome(job.address, Result.UNREACHABLE, advised(answer.why)))
                continue
            address = str(job.address)
            slots = [slot for slot in answer["slots"] if slot["stamp"]["address"] == address]
            job.before = slots[0]["differences"] if slots else []
            earlier = next((one for one in answer["intents"] if one["stamp"]["address"] == address), None)
            job.carried = pending_of(earlier, job.host, self._place.site.scratch)
            going.append(job)
        return going, lost

    def _run(self, jobs: Sequence[Job], token: str, report: Report) -> Ran:
        by_host = {job.host: job.address for job in jobs}

        def watch(host: str, task: str) -> None:
            if host in by_host:
                report(Progress(by_host[host], task))

        try:
            playbook = playbook_of(self._place, jobs[0].unit.spec, [job.host for job in jobs])
        except DriverError as error:
            return Ran(complaint=self._place.site.scrub(str(error)))
        carried = {job.host: job.carried for job in jobs if job.carried}
        journal = journal_of(self._place.site.scratch, token)
        return self._place.runs.run(replace(playbook, carried=carried, journal=journal, token=token), watch)

    def check(self, units: Sequence[Unit]) -> dict[Address, Checked]:
        """Ask Ansible's check mode what it would change; nothing is changed, no handler runs, nothing is kept."""
        found = {}
        for group in alike(units):
            hosts = [str(unit.spec["host"]) for unit in group]
            with self._place.held(hosts):
                ran = self._place.runs.run(replace(playbook_of(self._place, group[0].spec, hosts), check=True))
            for unit, host in zip(group, hosts, strict=True):
                folder, label = str(unit.spec.get("folder") or ""), str(unit.spec.get("label") or "")
                failed = failed_outcome(unit.address, host, ran, folder, label)
                would = (ran.learnt.get(host) or {}).get("would") or []
                tasks = tuple((str(one["task"]), named(str(one["where"]), folder, label)) for one in would)
                why = f"{failed.task}: {failed.message}" if failed and failed.task else failed.message if failed else ""
                found[unit.address] = Checked(tasks, why)
        return found

    def _settle(self, jobs: Sequence[Job], ran: Ran, token: str, report: Report) -> Iterator[Outcome]:
        if not jobs:
            return
        pending = journaled(self._place.site.scratch, token)
        with ThreadPoolExecutor(max_workers=min(32, len(jobs))) as pool:
            futures = [pool.submit(self._end, job, ran, token, pending, report) for job in jobs]
            for future in as_completed(futures):
                yield future.result()
        # What is pending stands on the hosts by now, but for those that did not answer: for them the journal stays.
        if not any(job.host in ran.unreachable or job.unwritten for job in jobs):
            journal_of(self._place.site.scratch, token).unlink(missing_ok=True)

    def _end(self, job: Job, ran: Ran, token: str, pending: Mapping[str, list[str]] | None, report: Report) -> Outcome:
        folder, label = str(job.unit.spec.get("folder") or ""), str(job.unit.spec.get("label") or "")
        failed = failed_outcome(job.address, job.host, ran, folder, label) if job.runs else None
        if failed is not None:
            if failed.result != Result.UNREACHABLE:
                self._leave(job, token, None if pending is None else pending.get(job.host, []), ran)
            return failed
        values = {"ready": job.unit.spec.get("ready")}
        scrub = scrubber_for(values, self._place.site.scrub)
        checks = ready.checks_of(job.unit.spec)
        why = ready.wait(
            checks,
            self._place.address_of(job.host),
            lambda commands: self._commands(job.host, commands),
            lambda text: report(Progress(job.address, scrub(text))),
        )
        log = ran.log(job.host) if job.runs else ""
        if why:
            self._leave(job, token, [], ran)
            return Outcome(job.address, Result.FAILED, scrub(why), log=log)
        return self._commit(job, ran, ready.described(checks), log)

    def _leave(self, job: Job, token: str, pending: list[str] | None, ran: Ran) -> None:
        """Write down on the host which handlers it still has to run, and take down what the run has managed so far.

        Where it does not answer, the journal tells.
        """
        intent = {"stamp": job.stamp, "undo": job.undo, "token": token, "pending": pending}
        things = (ran.learnt.get(job.host) or {}).get("things") or []
        ask = {"do": "begin", "intent": intent, "things": things, "before": job.before}
        answer = self._place.ask({job.host: ask})[job.host]
        job.unwritten = isinstance(answer, Unreachable)

    def _commit(self, job: Job, ran: Ran, message: str, log: str) -> Outcome:
        learnt = ran.learnt.get(job.host) or {"things": [], "verified": 0, "total": 0, "unverified": []}
        counted = {key: learnt[key] for key in ("verified", "total", "unverified")}
        slot = {"stamp": job.stamp, "undo": job.undo, "coverage": counted, "things": learnt["things"]}
        ask = {"do": "commit", "slot": slot, "key": secrets.token_hex(32), "before": job.before}
        answer = self._place.ask({job.host: ask}, fresh=True)[job.host]
        if isinstance(answer, Unreachable):
            return Outcome(job.address, Result.UNREACHABLE, f"applied, not stamped: {answer.why}", log=log)
        patterns = patterns_of(job.unit.spec)
        for one in (difference_of(told) for told in answer["unmended"] if not ignored(told, patterns)):
            still = f"no task mends {one.path}: {one.new} → {one.old}"
            message = f"{message}; {still}" if message else still
        for note in elsewhere(ran):
            message = f"{message}; {note}" if message else note
        coverage = answer["coverage"]
        return Outcome(
            job.address,
            Result.DONE,
            self._place.site.scrub(message),
            log=log,
            digest=job.stamp["digest"],
            coverage=Coverage(coverage["verified"], coverage["total"], tuple(coverage["unverified"])),
        )

    def _commands(self, host: str, commands: list[str]) -> list[str]:
        answer = self._place.ask({host: {"do": "commands", "commands": commands}}, fresh=True)[host]
        return [answer.why] * len(commands) if isinstance(answer, Unreachable) else list(answer["failed"])


def alike(units: Sequence[Unit]) -> list[list[Unit]]:
    """The units that one run can do: the same playbook with the same variables."""
    groups: dict[str, list[Unit]] = {}
    for unit in units:
        what: dict[str, Value] = {key: unit.spec.get(key) for key in _SHARED}
        groups.setdefault(json.dumps(revealed(what), sort_keys=True), []).append(unit)
    return list(groups.values())


def runs_anything(spec: Mapping[str, Value]) -> bool:
    """Whether a configuration has a playbook or roles, and not only readiness checks."""
    return bool(spec.get("playbook") or spec.get("roles"))


def folder_of(spec: Mapping[str, Value]) -> Path:
    """Where a configuration's playbook runs: its blueprint's folder."""
    return Path(str(spec["folder"]))


def playbook_of(place: Place, spec: Mapping[str, Value], hosts: Sequence[str]) -> Playbook:
    """What is run for these hosts of a workload. Raises DriverError where what it requires cannot be had."""
    folder = folder_of(spec)
    playbook = spec.get("playbook")
    values = spec.get("vars") or {}
    assert isinstance(values, Mapping)
    needed = requirements.installed(place.site.root, folder, place.site.scrub, str(playbook or ""))
    return Playbook(
        cwd=folder,
        path=folder / str(playbook) if playbook else None,
        text="" if playbook else _playbook_of(spec.get("roles")),
        inventory=place.inventory,
        hosts="" if place.inventory else place.inventory_text(),
        limit=place.limit_to(hosts),
        vars=values,
        roles=(folder / "roles", *needed.roles),
        collections=needed.collections,
        plugins=place.provider.plugins,
        tags=_texts(spec, "tags"),
        skip_tags=_texts(spec, "skipTags"),
    )


def _texts(spec: Mapping[str, Value], key: str) -> tuple[str, ...]:
    found = spec.get(key) or ()
    assert isinstance(found, list | tuple)
    return tuple(map(str, found))


def _playbook_of(roles: Any) -> str:
    return json.dumps([{"name": "Roles", "hosts": "all", "roles": revealed(list(roles or ()))}])
