"""The programs of one site, as the driver sees and changes them: one unit each.

Nothing is started for a program whose digest is the one that it bears. For every other a preview by the real engine
says what its update would do.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import DriverError
from orchestrator.model.address import PROGRAM, Address, WorkloadKey
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Absent, Coverage, Difference, Observation, Present, Unreachable
from orchestrator.model.outcome import Outcome, Progress, Report, Result
from orchestrator.model.record import Record
from orchestrator.model.unit import Stamp, Unit
from orchestrator.model.values import Value
from orchestrator.modes.agile.client.api import Api, RefusedError, UnreachedError
from orchestrator.modes.agile.client.discovery import Kinds
from orchestrator.modes.agile.inventory import Inventory
from orchestrator.modes.agile.objects import split_name
from orchestrator.modes.agile.programs import exports
from orchestrator.modes.agile.programs import kept as keeping
from orchestrator.modes.agile.programs.checkpoint import Checkpoint
from orchestrator.modes.agile.programs.kept import Kept
from orchestrator.modes.agile.programs.secrets import WrongPassphrase
from orchestrator.modes.agile.programs.targets import Drift, RunFailed, Target
from orchestrator.modes.agile.site import AgileSite

if TYPE_CHECKING:
    from orchestrator.modes.agile.programs.engine import Ended
    from orchestrator.modes.agile.programs.running import Runner

_PREVIEWS_AT_ONCE = 4
_FAILED_SECONDS = 60.0  # that a failed preview is not tried again: the looks of one command
_BEGUN = "its last run did not end well"
_BY_HAND = "its stack was changed by hand with pulumi"


@dataclass(frozen=True, slots=True)
class _Previewed:
    """What a preview has said: the same until the inputs or the state change; a failure for a while."""

    differences: tuple[Difference, ...] = ()
    outputs: Mapping[str, Value] | None = None
    failed: str = ""
    at: float = field(default_factory=time.monotonic)


class Programs:
    """Sees and changes programs; several threads may use it at once."""

    def __init__(self, site: AgileSite, api: Api, kinds: Kinds, closing: threading.Event) -> None:
        self._site = site
        self._api = api
        self._kinds = kinds
        self._closing = closing
        self._runner: Runner | None = None
        self._salt = secrets.token_hex(16)
        self._previews: dict[tuple[str, ...], _Previewed] = {}
        self._lock = threading.Lock()

    @property
    def runs(self) -> int:
        """How often the engine ran."""
        return self._runner.runs if self._runner else 0

    def end(self) -> None:
        """Ask what runs to end in order."""
        if self._runner is not None:
            self._runner.end()

    def _engine(self) -> Runner:
        """Made when it is first needed: it imports Pulumi, which a look at what is as applied does without."""
        from orchestrator.modes.agile.programs.running import Runner

        with self._lock:
            if self._runner is None:
                self._runner = Runner(self._site, self._api, self._kinds, self._closing)
            return self._runner

    # -- seeing

    def observe(
        self, units: Sequence[Unit], known: Sequence[Record], inventories: Sequence[Inventory]
    ) -> dict[Address, Observation]:
        """An observation for each unit, and for each other program of ours that is here. Raises UnreachedError."""
        left = [i for i in inventories if PROGRAM in i.kinds]
        if not (units or known or left):
            return {}
        addresses = [*(unit.address for unit in units), *(record.address for record in known)]
        namespaces = {split_name(address.name)[0] for address in addresses} | {i.namespace for i in left}
        kept, unseen = keeping.find(self._api, self._site.estate_id, self._site.site, namespaces)
        now = time.time()

        def look(unit: Unit) -> Observation:
            if why := unseen.get(split_name(unit.address.name)[0]):
                return Unreachable(why, cause=why, seen_at=now)
            return self._observation(unit, self._newest(kept.get(unit.address), unit.address), now)

        with ThreadPoolExecutor(max_workers=_PREVIEWS_AT_ONCE) as pool:
            found = dict(zip([u.address for u in units], pool.map(look, units), strict=True))
        for address in {*kept, *(record.address for record in known)} - set(found):
            if (why := unseen.get(split_name(address.name)[0])) is not None:
                found[address] = Unreachable(why, cause=why, seen_at=now)
            elif (one := self._newest(kept.get(address), address)) is not None:
                found[address] = Present(stamp=one.stamp, uid=one.uid, seen_at=now)
        return found

    def _newest(self, kept: Kept | None, address: Address) -> Kept | None:
        return keeping.newest(kept, address, self._site.estate_id, self._site.states)

    def _observation(self, unit: Unit, kept: Kept | None, now: float) -> Observation:
        if unit.unknown:  # what it needs comes first; its preview then
            return Absent(seen_at=now) if kept is None else self._present(unit, kept, now, {"outputs": {}})
        if kept is not None and not kept.unfinished and unit.digest(kept.stamp.salt) == kept.stamp.digest:
            return self._as_applied(unit, kept, now)
        if kept is not None and kept.too_large:
            why = f"its state (serial {kept.checkpoint.serial}) is too large for the cluster and is kept elsewhere"
            return Unreachable(why, cause=why, seen_at=now, what="held")
        target = self._target(unit, kept)
        checkpoint, taken = self._left_or(kept, target)
        found = self._previewed(unit, target, checkpoint, refresh=kept is not None and not kept.confirmed)
        if found.failed:
            return Unreachable(found.failed, cause=found.failed, seen_at=now, what="preview failed")
        if kept is None:
            return Absent(seen_at=now, differences=found.differences)
        because = kept.unfinished
        if checkpoint.pending:
            because = f"{because or _BEGUN}; nobody knows the end of: {', '.join(checkpoint.pending[:3])}"
        outputs = exports.after(self._outputs(checkpoint), found.outputs or {}, str(unit.address))
        return replace(
            self._present(unit, kept, now, {"outputs": outputs}),
            differences=found.differences,
            because=because or (_BEGUN if taken else ""),
        )

    def _as_applied(self, unit: Unit, kept: Kept, now: float) -> Observation:
        try:
            outputs = kept.checkpoint.outputs(self._site.passphrase())
        except WrongPassphrase:
            why = "its outputs were encrypted with another passphrase; give that one with ORCHESTRATOR_PASSPHRASE"
            return Unreachable(why, cause=why, seen_at=now, what="held")
        return self._present(unit, kept, now, {"outputs": outputs})

    def _present(self, unit: Unit, kept: Kept, now: float, facts: Mapping[str, Value]) -> Present:
        resources = kept.checkpoint.resources
        names = tuple(str(one.get("urn", "")).rpartition("::")[2] for one in resources)
        return Present(
            stamp=kept.stamp,
            uid=kept.uid,
            facts=facts,
            coverage=Coverage(0, len(resources), names),  # only a refresh by the engine would see them
            seen_at=now,
        )

    def _outputs(self, checkpoint: Checkpoint) -> dict[str, Value]:
        try:
            return checkpoint.outputs(self._site.passphrase())
        except WrongPassphrase:
            return {}

    def _previewed(self, unit: Unit, target: Target, checkpoint: Checkpoint, *, refresh: bool) -> _Previewed:
        key = (str(unit.address), unit.digest(self._salt), checkpoint.digest, str(refresh))
        with self._lock:
            known = self._previews.get(key)
        if known is None or (known.failed and time.monotonic() - known.at > _FAILED_SECONDS):
            known = self._preview(unit, target, checkpoint, refresh=refresh)
            with self._lock:
                self._previews[key] = known
        return known

    def _preview(self, unit: Unit, target: Target, checkpoint: Checkpoint, *, refresh: bool) -> _Previewed:
        try:
            ended = self._engine().preview(target, checkpoint, refresh=refresh)
        except RunFailed as failed:
            return _Previewed(failed=f"{failed.where}: {failed.message}" if failed.where else failed.message)
        wrong = list(exports.problems(ended.log.outputs or {}, _declared(unit)))
        return _Previewed(
            ended.log.differences, ended.log.outputs, failed=f"{target.folder}: {'; '.join(wrong)}" if wrong else ""
        )

    def drift(self, units: Sequence[Unit]) -> dict[Address, Drift]:
        """What is otherwise than these programs have left it: every provider is asked about each of its resources."""
        with ThreadPoolExecutor(max_workers=_PREVIEWS_AT_ONCE) as pool:
            return dict(zip([unit.address for unit in units], pool.map(self._drift, units), strict=True))

    def _drift(self, unit: Unit) -> Drift:
        try:
            kept = self._kept_now(unit.address)
            if kept is None:
                return Drift(failed="its state is gone from the cluster")
            return Drift(tuple(self._engine().drift(self._target(unit, kept), kept.checkpoint).log.drifted))
        except RunFailed as failed:
            return Drift(failed=failed.message)
        except RefusedError as refused:
            return Drift(failed=self._site.scrub(refused.message))
        except UnreachedError as unreached:
            return Drift(failed=unreached.cause)

    def _target(self, unit: Unit, kept: Kept | None) -> Target:
        if kept is not None:  # its project may have been renamed: the state is the old one's
            return replace(Target.of_unit(unit, kept.stack), project=kept.project)
        return Target.of_unit(unit, _stack_name(unit.address.workload_key))

    def _left_or(self, kept: Kept | None, target: Target) -> tuple[Checkpoint, bool]:
        """The state to go on from: what a run that was killed has left here, if it began from what is kept."""
        serial = kept.checkpoint.serial if kept else 0
        left = target.room(self._site.scratch).left()
        if left is not None and left[1] == serial:
            return left[0], True
        return (kept.checkpoint if kept else Checkpoint(b"", 0)), False

    # -- changing

    def apply(self, change: Change, prepare: Callable[[Address, str], str], report: Report) -> Outcome:
        """Carry out one change; `prepare` makes what must be there before, and says why it cannot be."""
        started = time.monotonic()
        address = change.address
        try:
            outcome = self._apply(change, prepare, report)
        except RunFailed as failed:
            outcome = Outcome(
                address, Result.FAILED, failed.message, task=failed.task, where=failed.where, log=failed.log
            )
        except RefusedError as refused:
            outcome = Outcome(address, Result.FAILED, self._site.scrub(refused.message))
        except UnreachedError as unreached:
            outcome = Outcome(address, Result.UNREACHABLE, unreached.cause)
        return replace(outcome, seconds=time.monotonic() - started)

    def _apply(self, change: Change, prepare: Callable[[Address, str], str], report: Report) -> Outcome:
        kept = self._kept_now(change.address)
        if change.action == Action.FORGET:
            self._drop(kept)
            return Outcome(change.address, Result.DONE, "forgotten; what it made stays as it is")
        if change.unit is None:
            return self._destroy(change, kept, report)
        if why := prepare(change.address, str(change.unit.spec["namespace"])):
            raise RunFailed(why)
        return self._update(change, change.unit, kept, report)

    def _kept_now(self, address: Address) -> Kept | None:
        thing = self._api.find(keeping.path_of(address.workload_key, split_name(address.name)[0]))
        return self._newest(keeping.kept_of(thing) if thing else None, address)

    def _update(self, change: Change, unit: Unit, kept: Kept | None, report: Report) -> Outcome:
        target = self._target(unit, kept)
        begun = self._begin(unit.address, kept, target, report)
        salt = kept.stamp.salt if kept and kept.stamp.salt else secrets.token_hex(16)
        stamp = unit.stamp(self._site.estate_id, salt)
        as_applied = kept is not None and kept.stamp.digest == stamp.digest  # asked again: what is there may differ
        ended = self._run("up", target, begun, report, refresh=as_applied)
        state = target.room(self._site.scratch).result(begun.checkpoint.serial + 1)
        outputs = state.outputs(self._site.passphrase())
        wrong = list(exports.problems(outputs, _declared(unit)))
        done = replace(begun, checkpoint=state)
        self._keep(done if wrong else replace(done, stamp=stamp, unfinished=""))
        target.room(self._site.scratch).taken_over(state.serial)
        if wrong:
            raise RunFailed("; ".join(wrong), where=target.folder, log="\n".join(ended.printed))
        return Outcome(
            unit.address,
            Result.DONE,
            _counted(ended),
            log="\n".join([*(f"{s.op} {s.label}" for s in ended.log.steps), *ended.log.notes, *ended.printed]),
            facts={"outputs": outputs},
            digest=stamp.digest,
            coverage=Coverage(0, len(state.resources)),
        )

    def _destroy(self, change: Change, kept: Kept | None, report: Report) -> Outcome:
        if kept is None:
            return Outcome(change.address, Result.DONE, "was gone already")
        if kept.stamp.address != change.address:
            return Outcome(change.address, Result.DONE, f"forgotten: it belongs to {kept.stamp.address} by now")
        target = Target.of_kept(kept)
        begun = self._begin(change.address, kept, target, report)
        count = len(begun.checkpoint.resources)
        if begun.checkpoint.resources or begun.checkpoint.pending:
            self._run("destroy", target, begun, report)
            state = target.room(self._site.scratch).result(begun.checkpoint.serial + 1)
            begun = replace(begun, checkpoint=state, unfinished="")
            self._keep(begun)
        self._drop(begun)
        shutil.rmtree(target.home(self._site.scratch), ignore_errors=True)
        return Outcome(
            change.address, Result.DONE, f"destroyed, with {count} {'resource' if count == 1 else 'resources'}"
        )

    def _begin(self, address: Address, kept: Kept | None, target: Target, report: Report) -> Kept:
        """What is kept while a run is under way: unfinished, with what a killed run has left taken over."""
        checkpoint, taken = self._left_or(kept, target)
        if checkpoint.pending:
            text = f"nobody knows the end of {', '.join(checkpoint.pending)}: a run was killed while it was under way"
            report(Progress(address, text))
        nothing = Stamp(self._site.estate_id, address, "")
        base = kept or Kept(address, target.namespace, target.project, target.stack, nothing, checkpoint)
        begun = replace(base, checkpoint=checkpoint, stamp=replace(base.stamp, digest=""), unfinished=_BEGUN)
        self._keep(begun)
        if taken:
            target.room(self._site.scratch).taken_over(checkpoint.serial)
        return begun

    def _run(self, command: str, target: Target, begun: Kept, report: Report, *, refresh: bool = False) -> Ended:
        """Run it; the state that it leaves is kept, however it ends."""

        def told(line: str) -> None:
            if text := _progress(line):
                report(Progress(target.address, self._site.scrub(text)))

        refresh = refresh or not begun.confirmed
        try:
            return self._engine().change(command, target, begun.checkpoint, refresh=refresh, told=told)
        except RunFailed:
            left = target.room(self._site.scratch).left()
            if left is not None:
                self._keep(replace(begun, checkpoint=left[0]))
                target.room(self._site.scratch).taken_over(left[0].serial)
            raise

    def hand_over(
        self, address: Address, unit: Unit | None, arguments: Sequence[str], prepare: Callable[[Address, str], str]
    ) -> int:
        """Run pulumi for a person; its exit code. What it changes is kept as unfinished: the next plan looks at it.

        Raises DriverError where it cannot be run.
        """
        kept = self._kept_now(address)
        if unit is not None and unit.unknown:
            raise DriverError(f"{address} has inputs that are not known yet", hint="apply what it needs first")
        target = self._target(unit, kept) if unit is not None else Target.of_kept(kept) if kept is not None else None
        if target is None:
            raise DriverError(f"nothing is kept of {address}", hint="`orchestrator plan` shows what there is")
        checkpoint, _ = self._left_or(kept, target)
        try:
            code = self._engine().hand_over(target, checkpoint, arguments)
        except RunFailed as failed:
            raise DriverError(f"{failed.where}: {failed.message}" if failed.where else failed.message) from None
        left = target.room(self._site.scratch).left()
        if left is not None:
            if why := prepare(address, target.namespace):
                raise DriverError(why, hint="the state that pulumi has left is taken over by the next apply")
            nothing = Stamp(self._site.estate_id, address, "")
            base = kept or Kept(address, target.namespace, target.project, target.stack, nothing, left[0])
            changed = replace(base, checkpoint=left[0], stamp=replace(base.stamp, digest=""), unfinished=_BY_HAND)
            self._keep(changed)
            target.room(self._site.scratch).taken_over(left[0].serial)
        return code

    def _keep(self, kept: Kept) -> None:
        keeping.keep(self._api, self._site.estate_id, kept, self._site.states)

    def _drop(self, kept: Kept | None) -> None:
        """Take its object off the cluster; what our store has of it stays as history."""
        if kept is None:
            return
        thing = self._api.find(kept.path)
        if thing is not None:
            self._api.delete(kept.path, uid=str(thing["metadata"]["uid"]))


def _stack_name(key: WorkloadKey) -> str:
    from orchestrator.modes.agile.stacks.stack import Stack

    return Stack(key, Path()).name


def _declared(unit: Unit) -> Mapping[str, Value]:
    found = unit.spec["outputs"]
    assert isinstance(found, Mapping)
    return found


def _progress(line: str) -> str:
    """`creating aws:Bucket assets` of a line of the engine's progress; empty for what says nothing."""
    words = line.split()
    if not words or words[0].strip("+-~") or ":Stack " in line:
        return ""
    for verb in ("creating", "updating", "deleting", "replacing"):
        if verb in words and len(words) > 3:
            at = words.index(verb)
            kind = words[1].split(":") if len(words) > 1 else [""]
            return f"{verb} {kind[0]}:{kind[-1]} {' '.join(words[2:at])}"
    return ""


def _counted(ended: Ended) -> str:
    counts = ended.log.counts()
    done = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted", "import": "imported"}
    return ", ".join(f"{count} {done.get(op, op)}" for op, count in counts.items()) or "nothing differed"
