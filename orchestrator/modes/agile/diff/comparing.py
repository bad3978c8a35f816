"""Comparing what units declare with what lives: our own comparison is the filter, the server's dry run the judge."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from orchestrator.model.observation import Difference, Refusal
from orchestrator.model.unit import Unit
from orchestrator.model.values import Value, revealed
from orchestrator.modes.agile.client.api import Api, RefusedError, UnreachedError
from orchestrator.modes.agile.client.discovery import Kinds
from orchestrator.modes.agile.diff import judging
from orchestrator.modes.agile.diff.differing import differences, plain_data
from orchestrator.modes.agile.diff.healing import with_history
from orchestrator.modes.agile.diff.yielding import left_to_others, scaled_by, with_live
from orchestrator.modes.agile.objects import (
    STAMP,
    Object,
    dressed,
    labels_for,
    manifest_of,
    marks_of,
    metadata,
    split_name,
    stamp_of,
    stamp_text,
)
from orchestrator.modes.agile.owners import without_tools
from orchestrator.modes.agile.refusing import refusals

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Compared:
    """A unit's manifest against its live object.

    manifest     what is to be applied: values that are left to others are as they live
    differences  what an apply would change, and (`kept`) what is only reported
    refused      why the API server would not take it
    settled      whether nothing is left to ask the API server
    """

    manifest: Mapping[str, Value]
    differences: tuple[Difference, ...]
    refused: tuple[Refusal, ...] = ()
    settled: bool = True


class Comparer:
    """Compares for one estate; several threads may use it at once. It remembers what was judged."""

    def __init__(self, api: Api, kinds: Kinds, estate_id: str, scrub: Callable[[str], str]) -> None:
        self._api = api
        self._kinds = kinds
        self._estate_id = estate_id
        self._scrub = scrub
        self._scaled: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._judged: dict[str, Object] = {}

    def look(self, units: Sequence[Unit]) -> None:
        """What there is to compare from now on: an autoscaler among the units has its say about others."""
        self._scaled = scaled_by(units)

    def locally(self, unit: Unit, live: Object) -> Compared:
        """The comparison as far as we can make it ourselves."""
        stamp = stamp_of(live)
        ours = stamp is not None and stamp.estate == self._estate_id
        manifest: Mapping[str, Value] = plain_data(manifest_of(unit))
        if ours:
            manifest = dressed(manifest, labels_for(self._estate_id, unit.address), marks_of(live))
        left = left_to_others(unit, live, self._scaled)
        manifest = with_live(manifest, live, left)
        found = tuple(d for d in differences(manifest, live, secret=self._is_secret) if d.path not in left)
        kept: tuple[Difference, ...] = ()
        policy = unit.spec.get("contested", "heal")
        if ours and policy != "heal" and (theirs := [each for each in found if each.by]):
            manifest = with_live(manifest, live, [each.path for each in theirs])
            found = tuple(each for each in found if not each.by)
            kept = tuple(replace(each, kept=True) for each in theirs) if policy == "report" else ()
        same = stamp is not None and ours and not unit.unknown and not found and unit.digest(stamp.salt) == stamp.digest
        history = with_history((*found, *kept), live, time.time())
        return Compared(manifest, history, settled=same or bool(unit.unknown))

    def judged(self, unit: Unit, live: Object, local: Compared) -> Compared:
        """The comparison by the API server; ours stands where it gives no answer, or none about the object."""
        try:
            for _ in range(_TRIES):
                after = self._dry(unit, local.manifest, live)
                if metadata(after).get("resourceVersion") == metadata(live).get("resourceVersion"):
                    break
                # Its controllers have written since it was read: what they did is no difference of ours.
                live = self._api.get(self._path(unit))
                local = self.locally(unit, live)
        except RefusedError as refused:
            return self._refused(unit, local, refused)
        except UnreachedError:
            return replace(local, settled=True)
        kept = tuple(each for each in local.differences if each.kept)
        found = judging.outcome(live, after, local.manifest, secret=self._is_secret)
        if without_tools(live) is not None:  # what they hold beside us goes as well: see `Actor`
            seen = {each.path for each in found}
            ours = (each for each in local.differences if not each.kept)
            found += tuple(each for each in ours if each.new is None and each.path not in seen)
        return replace(local, differences=(*with_history(found, live, time.time()), *kept), settled=True)

    def _refused(self, unit: Unit, local: Compared, refused: RefusedError) -> Compared:
        """What a refusal says: that fields force a replacement, that it is refused, or nothing about the object."""
        if not judging.is_about_the_object(refused):
            return replace(local, settled=True)
        kept = tuple(each for each in local.differences if each.kept)
        ours = tuple(each for each in local.differences if not each.kept)
        declared = unit.spec.get("object")
        if forced := judging.forced(refused, ours, declared if isinstance(declared, Mapping) else {}):
            return replace(local, differences=(*forced, *kept), settled=True)
        return replace(local, refused=refusals(unit, refused, self._scrub), settled=True)

    def compare(self, unit: Unit, live: Object) -> Compared:
        """Both, as far as needed."""
        local = self.locally(unit, live)
        return local if local.settled else self.judged(unit, live, local)

    def why_not(self, unit: Unit) -> tuple[Refusal, ...]:
        """Why the API server would not make an object that is not there; nothing if it would, or cannot tell."""
        marks = {STAMP: stamp_text(unit.stamp(self._estate_id, ""))}
        manifest = dressed(plain_data(manifest_of(unit)), labels_for(self._estate_id, unit.address), marks)
        try:
            self._dry(unit, manifest, None)
        except RefusedError as refused:
            return refusals(unit, refused, self._scrub) if judging.is_about_the_object(refused) else ()
        except UnreachedError:  # that it is not there was told before; whether it would be taken is not
            return ()
        return ()

    def _dry(self, unit: Unit, manifest: Mapping[str, Value], live: Object | None) -> Object:
        """The object as it would be. Raises RefusedError and UnreachedError."""
        path = self._path(unit)
        body = revealed(dict(manifest))
        seen = [metadata(live).get("uid"), metadata(live).get("resourceVersion")] if live else []
        try:
            key = hashlib.sha256(orjson.dumps([path, seen, body], option=orjson.OPT_SORT_KEYS)).hexdigest()
        except TypeError as error:
            raise RefusedError(400, "BadRequest", f"the manifest is not JSON data: {error}") from None
        with self._lock:
            known = self._judged.get(key)
        if known is None:
            known = self._api.apply(path, body, force=True, dry=True)
            with self._lock:
                self._judged[key] = known
        return known

    def _path(self, unit: Unit) -> str:
        version = str(manifest_of(unit).get("apiVersion", "")).rpartition("/")[2]
        kind = self._kinds.find(unit.address.kind, version)
        if kind is None:
            raise RefusedError(404, "NotFound", "its kind is not served")
        return kind.path(*split_name(unit.address.name))

    def _is_secret(self, text: str) -> bool:
        return self._scrub(text) != text
