"""Changing one object: ownership checks before, the wait for readiness after; what Pulumi's provider does."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Difference, Present
from orchestrator.model.outcome import Outcome, Report, Result
from orchestrator.model.unit import Stamp, Unit
from orchestrator.model.values import Value, revealed
from orchestrator.modes.agile import emptiness
from orchestrator.modes.agile.before import Before
from orchestrator.modes.agile.client.api import Api, RefusedError, UnreachedError
from orchestrator.modes.agile.client.discovery import Kind, Kinds
from orchestrator.modes.agile.diff import judging
from orchestrator.modes.agile.diff.comparing import Comparer
from orchestrator.modes.agile.diff.differing import plain_data
from orchestrator.modes.agile.diff.healing import healing
from orchestrator.modes.agile.inventory import Inventory
from orchestrator.modes.agile.objects import (
    ESTATE,
    HEALED,
    INVENTORY,
    MANAGED_BY,
    PLACEMENT,
    STAMP,
    WORKLOAD,
    Object,
    dressed,
    labels_for,
    manifest_of,
    metadata,
    split_name,
    stamp_of,
    stamp_text,
)
from orchestrator.modes.agile.observing import facts
from orchestrator.modes.agile.ordering import defined_kind
from orchestrator.modes.agile.owners import without_tools
from orchestrator.modes.agile.readiness.conditions import readiness_of
from orchestrator.modes.agile.readiness.reasons import explained, waits_for_a_pod
from orchestrator.modes.agile.readiness.rules import READY, Readiness
from orchestrator.modes.agile.readiness.waiting import Teller, WaitEndedError, beats
from orchestrator.modes.agile.refusing import lines, refusals

DELETE_SECONDS = 120.0
_READY_SECONDS = 300.0
_SERVED_SECONDS = 30.0
_TRIES = 5


@dataclass(frozen=True, slots=True)
class _FailedError(Exception):
    """This one change cannot be made; `message` for a person, `where` if that is more than the unit's place."""

    message: str
    where: str = ""


class Actor:
    """Makes single changes at one site; several threads may use it at once."""

    def __init__(
        self,
        api: Api,
        kinds: Kinds,
        comparer: Comparer,
        estate_id: str,
        scrub: Callable[[str], str],
        closing: threading.Event,
    ) -> None:
        self._api = api
        self._kinds = kinds
        self._comparer = comparer
        self._estate_id = estate_id
        self._scrub = scrub
        self._closing = closing
        self._before = Before(api, kinds)
        self._defined: frozenset[str] = frozenset()

    def look(self, units: Sequence[Unit]) -> None:
        """What is declared from now on: which kinds there will be."""
        self._defined = frozenset(kind for unit in units if (kind := defined_kind(manifest_of(unit))))

    def prepare(self, changes: Sequence[Change]) -> None:
        """Look at the places of what is to be made, where that costs less than one by one. Raises UnreachedError."""
        self._before.look(changes)

    def apply(self, change: Change, report: Report) -> Outcome:
        """Make the unit's object as declared and wait until it is ready."""
        return self._told(change, lambda unit: self._apply(change, unit, report))

    def wait(self, change: Change, report: Report) -> Outcome:
        """Only wait until what is there as declared is ready."""

        def waiting(unit: Unit) -> Outcome:
            kind, path = self._where(change.address, unit)
            live = self._api.find(path)
            stamp = stamp_of(live) if live else None
            if live is None or stamp is None:
                raise _FailedError("it has gone since the plan; plan again")
            return self._ready(change, unit, kind, path, live, stamp, report)

        return self._told(change, waiting)

    def delete(self, change: Change, report: Report) -> Outcome:
        """Delete what the change saw, if it still is that and ours, and wait until it is gone."""
        return self._told(change, lambda _: self._delete(change, report))

    def forget(self, change: Change) -> Outcome:
        """Take our marks off the object, if it bears this very address; the object stays."""

        def forgetting(_: Unit) -> Outcome:
            kind = self._kinds.find(change.address.kind)
            path = kind.path(*split_name(change.address.name)) if kind else ""
            live = self._api.find(path) if path else None
            stamp = stamp_of(live) if live else None
            if stamp is not None and stamp.estate == self._estate_id and stamp.address == change.address:
                labels = dict.fromkeys((ESTATE, PLACEMENT, WORKLOAD, MANAGED_BY, INVENTORY))
                self._api.merge(path, {"metadata": {"labels": labels, "annotations": {STAMP: None, HEALED: None}}})
            return Outcome(change.address, Result.DONE, "forgotten; it stays as it is")

        return self._told(change, forgetting)

    def _told(self, change: Change, act: Callable[[Unit], Outcome]) -> Outcome:
        """What became of it, every error of the target as an outcome."""
        started = time.monotonic()
        unit = change.unit
        where = str(unit.spec.get("where") or unit.source) if unit else ""
        try:
            outcome = act(unit)  # type: ignore[arg-type]  # those that need a unit are not called without
        except _FailedError as failed:
            outcome = Outcome(change.address, Result.FAILED, failed.message, where=failed.where or where)
        except RefusedError as refused:
            why = self._refusal(unit, refused) if unit else _FailedError(refused.message)
            outcome = Outcome(change.address, Result.FAILED, why.message, where=why.where or where)
        except UnreachedError as unreached:
            outcome = Outcome(change.address, Result.UNREACHABLE, unreached.cause, where=where)
        except WaitEndedError:
            outcome = Outcome(change.address, Result.INTERRUPTED, "interrupted while it was waited for", where=where)
        return replace(outcome, message=self._scrub(outcome.message), seconds=time.monotonic() - started)

    def _where(self, address: Address, unit: Unit | None) -> tuple[Kind, str]:
        version = str(manifest_of(unit).get("apiVersion", "")).rpartition("/")[2] if unit else ""
        kind = self._kinds.find(address.kind, version)
        if kind is None:
            group = f"{address.kind.partition('.')[2]}/{version}".strip("/")
            raise _FailedError(f"the cluster serves no {address.kind.partition('.')[0]} in {group or 'any version'}")
        return kind, kind.path(*split_name(address.name))

    def _until_served(self, address: Address, unit: Unit, report: Report) -> None:
        """Wait for a kind that is made in the same run: it is served a moment after it is established."""
        version = str(manifest_of(unit).get("apiVersion", "")).rpartition("/")[2]
        if address.kind not in self._defined or self._kinds.find(address.kind, version) is not None:
            return
        teller = Teller(address, report, self._scrub)
        for _ in beats(_SERVED_SECONDS, self._closing):
            self._kinds.expire()
            if self._kinds.find(address.kind, version) is not None:
                return
            teller.tell("its kind is not served yet")

    def _apply(self, change: Change, unit: Unit, report: Report) -> Outcome:
        self._until_served(change.address, unit, report)
        kind, path = self._where(change.address, unit)
        live = self._there(change, path, report)
        manifest: Mapping[str, Value] = plain_data(manifest_of(unit))
        marks: dict[str, str] = {}
        force = False
        if live is not None and change.action == Action.REPLACE and metadata(live).get("uid") == _uid(change):
            self._remove(change, path, live, report)
            live = None
        if live is not None:
            manifest = self._comparer.locally(unit, live).manifest
            differing = self._differing(change, unit, live)
            # What is taken over is taken with all its declared fields and our labels, whoever has set them.
            force = bool(differing) or change.action == Action.ADOPT
            marks = healing(differing, live, time.time()) if change.action != Action.ADOPT else {}
        before = stamp_of(live) if live else _stamp(change)
        salt = before.salt if before and before.estate == self._estate_id and before.salt else secrets.token_hex(16)
        stamp = unit.stamp(self._estate_id, salt)
        marks[STAMP] = stamp_text(stamp)
        body = dressed(manifest, labels_for(self._estate_id, change.address), marks)
        if live is not None:
            body["metadata"] = {**metadata(body), "uid": str(metadata(live).get("uid"))}
        teller = Teller(change.address, report, self._scrub)
        if live is not None:
            self._let_go(path, live)
        applied = self._put(unit, path, revealed(body), force=force, teller=teller)
        if change.action == Action.ADOPT:
            self._let_go(path, applied)
        return self._ready(change, unit, kind, path, applied, stamp, report)

    def _let_go(self, path: str, live: Object) -> None:
        """Tools that have applied our fields before (kubectl, Helm, Pulumi) do not hold them any more."""
        for _ in range(_TRIES):
            fields = without_tools(live)
            if fields is None:
                return
            meta = {"managedFields": fields, "resourceVersion": _version(live)}
            try:
                self._api.merge(path, {"metadata": meta})
                return
            except RefusedError as refused:
                if refused.status != 409:
                    raise
            live = self._api.get(path)  # its controllers write, too

    def _put(self, unit: Unit, path: str, body: Mapping[str, Any], *, force: bool, teller: Teller) -> dict[str, Any]:
        """Apply it; what may pass (a webhook that is not ready yet) is tried again until the unit's time is over."""
        seconds = _seconds(unit)
        for last in beats(seconds, self._closing):
            try:
                return self._api.apply(path, body, force=force)
            except RefusedError as refused:
                why = judging.passing(refused)
                if not why:
                    raise self._refusal(unit, refused) from None
                teller.tell(why)
                if last:
                    break
        raise _FailedError(f"not taken after {seconds:.0f} s: {teller.told}")

    def _refusal(self, unit: Unit, refused: RefusedError) -> _FailedError:
        """What the API server has against it, for a person."""
        if refused.status == 409 and refused.causes:
            what = ", ".join(f"{str(c.get('field', '')).lstrip('.')} ({c.get('message', '')})" for c in refused.causes)
            return _FailedError(f"somebody has changed it since the plan: {what}; plan again")
        if refused.status == 409:
            return _FailedError(f"it has changed since the plan ({refused.message}); plan again")
        found = refusals(unit, refused, self._scrub)
        return _FailedError(lines(found), found[0].where if len(found) == 1 else str(unit.source))

    def _there(self, change: Change, path: str, report: Report) -> dict[str, Any] | None:
        """What is there now. Raises _FailedError where it is not what the plan said that it would change."""
        if change.action == Action.CREATE and self._before.was_empty(change.address):
            return None
        live = self._api.find(path)
        if live is not None and metadata(live).get("deletionTimestamp"):
            self._until_gone(change.address, path, str(metadata(live).get("uid")), report)
            live = None
        if live is None or change.action == Action.ADOPT:
            return live
        stamp = stamp_of(live)
        if stamp is None or stamp.estate != self._estate_id:
            raise _FailedError(
                f"is there, but not ours; nothing was changed; to take it over: orchestrator adopt {change.address}"
            )
        if change.action == Action.CREATE and stamp.address != change.address:
            raise _FailedError(f"belongs to {stamp.address} by now; plan again")
        return live

    def _differing(self, change: Change, unit: Unit, live: Object) -> tuple[Difference, ...]:
        """What an apply changes; others may own such fields, which are then to be taken from them.

        Raises _FailedError where somebody has changed a declared field since the plan was made.
        """
        seen = change.seen
        if isinstance(seen, Present) and _version(seen.facts) == _version(live) != "":
            return tuple(each for each in seen.differences if not each.kept)
        now = tuple(each for each in self._comparer.compare(unit, live).differences if not each.kept)
        if isinstance(seen, Present):  # if not, it is our own from a run that was interrupted
            shown = {(each.path, str(each.old)) for each in seen.differences}
            for new in now:
                if new.by and (new.path, str(new.old)) not in shown:
                    raise _FailedError(f"{new.path} was changed by {new.by} since the plan; plan again")
        return now

    def _ready(
        self, change: Change, unit: Unit, kind: Kind, path: str, live: Object, stamp: Stamp, report: Report
    ) -> Outcome:
        """Wait for readiness, beginning with what is there now; the facts of the object as it is then."""
        seconds = _seconds(unit)
        teller, now = Teller(change.address, report, self._scrub), live
        for last in beats(seconds, self._closing):
            state = self._state(unit, now)
            if state.ready:
                if kind.kind == "CustomResourceDefinition":
                    self._kinds.expire()
                known, uid = facts(now, manifest_of(unit)), str(metadata(now).get("uid", ""))
                return Outcome(change.address, Result.DONE, facts=known, uid=uid, digest=stamp.digest)
            if state.failed or last or teller.is_due():
                state = explained(self._api, self._kinds, now, state)
                teller.tell(state.because)
            if state.failed:
                raise _FailedError(teller.told)
            found = self._api.find(path)
            if found is None:
                raise _FailedError("was deleted while it was waited for")
            now = found
        raise _FailedError(f"not ready after {seconds:.0f} s: {teller.told}")

    def _state(self, unit: Unit, live: Object) -> Readiness:
        state = readiness_of(unit, live)
        if not state.ready and live.get("kind") == "PersistentVolumeClaim" and not state.failed:
            return READY if waits_for_a_pod(self._api, self._kinds, live) else state
        return state

    def _delete(self, change: Change, report: Report) -> Outcome:
        kind = self._kinds.find(change.address.kind)
        path = kind.path(*split_name(change.address.name)) if kind else ""
        live = self._api.find(path) if path else None
        if live is None or kind is None:
            return Outcome(change.address, Result.DONE, "was gone already")
        stamp = stamp_of(live)
        if stamp is None or stamp.estate != self._estate_id or stamp.address != change.address:
            whose = f"belongs to {stamp.address}" if stamp else "does not bear our stamp"
            return Outcome(change.address, Result.DONE, f"forgotten: it {whose} by now")
        expected = _uid(change)
        if expected and metadata(live).get("uid") != expected:
            raise _FailedError("was made anew since the plan; plan again")
        inventory = Inventory(change.address.workload_key, "").name
        if (why := emptiness.what_goes_with(self._api, self._kinds, live, inventory)) is not None:
            raise _FailedError(why)
        self._remove(change, path, live, report)
        return Outcome(change.address, Result.DONE, "deleted")

    def _remove(self, change: Change, path: str, live: Object, report: Report) -> None:
        uid = str(metadata(live).get("uid"))
        try:
            if self._api.delete(path, uid=uid):
                return
        except RefusedError as refused:
            if refused.status != 404:
                raise
        self._until_gone(change.address, path, uid, report)

    def _until_gone(self, address: Address, path: str, uid: str, report: Report) -> None:
        teller = Teller(address, report, self._scrub)
        for last in beats(DELETE_SECONDS, self._closing):
            live = self._api.find(path)
            if live is None or metadata(live).get("uid") != uid:
                return
            if last or teller.is_due():
                teller.tell(emptiness.what_blocks(live))
        raise _FailedError(f"still there {DELETE_SECONDS:.0f} s after it was deleted: {teller.told}")


def _seconds(unit: Unit) -> float:
    """How long its readiness is waited for."""
    given = unit.spec.get("timeout")
    return float(given) if isinstance(given, int | float) else _READY_SECONDS


def _version(thing: Object) -> str:
    return str(metadata(thing).get("resourceVersion", ""))


def _uid(change: Change) -> str:
    if isinstance(change.seen, Present) and change.seen.uid:
        return change.seen.uid
    return change.record.uid if change.record else ""


def _stamp(change: Change) -> Stamp | None:
    return change.seen.stamp if isinstance(change.seen, Present) else None
