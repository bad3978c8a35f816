"""Seeing what is on a cluster: one LIST per kind, never one request per object.

First what bears our estate's label, in all namespaces. Then, only for units that were not among it, what stands in
their place: one further LIST per kind and namespace.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from orchestrator.model.address import PROGRAM, Address
from orchestrator.model.observation import Absent, Observation, Present, Refusal, Unreachable
from orchestrator.model.record import Record
from orchestrator.model.unit import Stamp, Unit
from orchestrator.model.values import Secret, has_secret
from orchestrator.modes.agile.client.api import Api, RefusedError
from orchestrator.modes.agile.client.discovery import Kind, Kinds
from orchestrator.modes.agile.diff.comparing import Compared, Comparer
from orchestrator.modes.agile.expecting import Expected, without_passing_refusals
from orchestrator.modes.agile.inventory import Inventory, inventory_of, is_inventory
from orchestrator.modes.agile.objects import (
    ESTATE,
    HEALED,
    STAMP,
    Object,
    identity_of,
    manifest_of,
    metadata,
    split_name,
    stamp_of,
    stamped_itself,
)
from orchestrator.modes.agile.owners import made_by
from orchestrator.modes.agile.readiness.conditions import readiness_of
from orchestrator.modes.agile.readiness.reasons import waits_for_a_pod
from orchestrator.modes.agile.readiness.rules import READY, Readiness, readiness

_PARALLEL = 8
# Always looked for: inventories are ConfigMaps, and a namespace is there before the inventory in it.
_ALWAYS = ("ConfigMap", "Namespace")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(slots=True)
class Seen:
    """Everything that a look has found.

    live        identity -> object
    inventories what the workloads of this estate and site have left
    unseen      a kind and a namespace ("" for all) that could not be read -> why
    """

    live: dict[str, dict[str, Any]] = field(default_factory=dict)
    inventories: list[Inventory] = field(default_factory=list)
    unseen: dict[tuple[str, str], str] = field(default_factory=dict)

    def why_unseen(self, kind: str, namespace: str) -> str:
        """Why a place could not be read; empty if it could."""
        return self.unseen.get((kind, namespace)) or self.unseen.get((kind, ""), "")


class Reader:
    """Looks at one cluster for one estate and site."""

    def __init__(
        self, api: Api, kinds: Kinds, estate_id: str, site: str, scrub: Callable[[str], str], comparer: Comparer
    ) -> None:
        self._api = api
        self._comparer = comparer
        self._kinds = kinds
        self._estate_id = estate_id
        self._site = site
        self._scrub = scrub
        self._late: dict[str, bool] = {}  # storage class -> whether it waits for a pod

    def observe(self, units: Sequence[Unit], known: Sequence[Record]) -> tuple[dict[Address, Observation], Seen]:
        """An observation for each unit, and for each thing of ours that no unit asked for. Raises UnreachedError."""
        seen = Seen()
        places = _places(units, known)
        places["ConfigMap"] = set[str]().union(*places.values())  # an inventory may be in any of them
        self._look_for_ours(_ALWAYS, places, seen)
        for inventory in seen.inventories:
            for kind, namespaces in inventory.kinds.items():
                if kind == PROGRAM:  # no kind of the cluster's
                    continue
                places.setdefault(kind, set()).update(namespaces)
        versions = {u.address.kind: _version_of(u) for u in units}
        self._look_for_ours([kind for kind in places if kind not in _ALWAYS], places, seen, versions)
        self._look_in_places([u for u in units if not self._is_seen(u, seen)], seen)
        now = time.time()
        self._comparer.look(units)
        found = self._observations(units, seen, now)
        return {**self._others(units, seen, now), **self._unseen(known, found, seen, now), **found}, seen

    def _look_for_ours(
        self,
        kinds: Iterable[str],
        places: Mapping[str, Iterable[str]],
        seen: Seen,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        """What bears our label, of each kind, in all namespaces or, where that is forbidden, in known ones."""

        def look(name: str) -> list[dict[str, Any]]:
            kind = self._kinds.find(name, (versions or {}).get(name, "")) or self._kinds.find(name)
            if kind is None:
                return []
            selector = f"{ESTATE}={self._estate_id}"
            found = self._list(kind, "", seen, labelSelector=selector)
            if found is None and kind.namespaced:
                found = []
                for namespace in sorted(set(places.get(name, ())) - {""}):
                    found += self._list(kind, namespace, seen, labelSelector=selector) or []
                seen.unseen.pop((name, ""), None)
            return found or []

        names = sorted(kinds)
        # A further connection costs more than a further request: two of them have one.
        with ThreadPoolExecutor(max_workers=max(1, min(_PARALLEL, len(names) // 2))) as pool:
            for things in pool.map(look, names):
                for thing in things:
                    self._keep(thing, seen)

    def _keep(self, thing: dict[str, Any], seen: Seen) -> None:
        if is_inventory(thing):
            inventory = inventory_of(thing)
            if inventory is not None and inventory.workload.site == self._site:
                seen.inventories.append(inventory)
        else:
            seen.live[identity_of(thing)] = thing

    def _is_seen(self, unit: Unit, seen: Seen) -> bool:
        """Whether the unit's object was found, in the API version that the unit is written in if that is served."""
        live = seen.live.get(unit.identity)
        version = _version_of(unit)
        if live is None or str(live.get("apiVersion")).rpartition("/")[2] == version:
            return live is not None
        return self._kinds.find(unit.address.kind, version) is None

    def _look_in_places(self, units: Sequence[Unit], seen: Seen) -> None:
        """What stands where these units should be, whosever it is."""
        wanted: dict[tuple[str, str, str], set[str]] = {}
        for unit in units:
            namespace, name = split_name(unit.address.name)
            if not seen.why_unseen(unit.address.kind, namespace):
                wanted.setdefault((unit.address.kind, _version_of(unit), namespace), set()).add(name)

        def look(place: tuple[str, str, str]) -> list[dict[str, Any]]:
            name, version, namespace = place
            kind = self._kinds.find(name, version)
            if kind is None:
                return []
            names = wanted[place]
            query = {"fieldSelector": f"metadata.name={next(iter(names))}"} if len(names) == 1 else {}
            return [t for t in self._list(kind, namespace, seen, **query) or [] if metadata(t).get("name") in names]

        with ThreadPoolExecutor(max_workers=_PARALLEL) as pool:
            for things in pool.map(look, sorted(wanted)):
                seen.live.update({identity_of(thing): thing for thing in things})

    def _list(self, kind: Kind, namespace: str, seen: Seen, **query: str) -> list[dict[str, Any]] | None:
        """The objects; None, and `unseen` says why, where we may not read them."""
        try:
            return self._api.list(kind.collection(namespace), **query)
        except RefusedError as refused:
            if refused.status == 404:  # the kind has gone since we asked which there are
                return []
            where = f" in namespace {namespace}" if namespace else ""
            seen.unseen[kind.name, namespace] = f"cannot list {kind.plural}{where}: {refused.message}"
            return None

    def _observations(self, units: Sequence[Unit], seen: Seen, now: float) -> dict[Address, Observation]:
        """What there is of each unit; the API server is asked about what differs, and about what is to be made."""
        expected = Expected(self._api, self._kinds, units)
        open_ones: list[tuple[Unit, Object | None, Compared | None]] = []
        found: dict[Address, Observation] = {}
        for unit in units:
            live = seen.live.get(unit.identity)
            if live is None:
                why = seen.why_unseen(unit.address.kind, split_name(unit.address.name)[0])
                found[unit.address] = Unreachable(why, cause=why, seen_at=now) if why else Absent(seen_at=now)
                if not why and not unit.unknown:
                    open_ones.append((unit, None, None))
                continue
            compared = self._comparer.locally(unit, live)
            if compared.settled:
                found[unit.address] = self._present(unit, live, compared, now)
            else:
                open_ones.append((unit, live, compared))

        def judged(one: tuple[Unit, Object | None, Compared | None]) -> Observation:
            unit, live, compared = one
            if live is None or compared is None:
                why = expected.why_not(unit)
                if why is None:
                    return Absent(now, refused=self._comparer.why_not(unit))
                return Absent(now, refused=(Refusal(why, str(unit.source)),) if why else ())
            return self._present(unit, live, self._comparer.judged(unit, live, compared), now)

        with ThreadPoolExecutor(max_workers=_PARALLEL) as pool:
            answers = list(pool.map(judged, open_ones))
        found |= {unit.address: answer for (unit, _, _), answer in zip(open_ones, answers, strict=True)}
        return without_passing_refusals(found)

    def _present(self, unit: Unit, live: Object, compared: Compared, now: float) -> Present:
        """What a unit's live object says, compared with what the unit declares."""
        ready = self._readiness(unit, live)
        return Present(
            stamp=stamp_of(live),
            ready=ready.ready,
            because=self._scrub(ready.because),
            differences=compared.differences,
            refused=compared.refused,
            owner=made_by(live) if stamp_of(live) is None else "",
            facts=facts(live, manifest_of(unit)),
            uid=str(metadata(live).get("uid", "")),
            seen_at=now,
        )

    def _readiness(self, unit: Unit, live: Object) -> Readiness:
        state = readiness_of(unit, live)
        if state.ready or live.get("kind") != "PersistentVolumeClaim":
            return state
        storage = str((live.get("spec") or {}).get("storageClassName"))
        if storage not in self._late:  # asked once for each class, not for each claim
            self._late[storage] = waits_for_a_pod(self._api, self._kinds, live)
        return READY if self._late[storage] and not state.failed else state

    def _others(self, units: Sequence[Unit], seen: Seen, now: float) -> dict[Address, Observation]:
        """What is ours, at this site, and at no unit's place."""
        asked = {unit.identity for unit in units}
        found: dict[Address, Observation] = {}
        for identity, live in seen.live.items():
            stamp = stamp_of(live)
            if identity in asked or stamp is None or not self._is_ours(stamp, live):
                continue
            uid = str(metadata(live).get("uid", ""))
            found[stamp.address] = Present(stamp=stamp, ready=readiness(live).ready, uid=uid, seen_at=now)
        return found

    def _is_ours(self, stamp: Stamp, live: Object) -> bool:
        mine = stamp.estate == self._estate_id and stamp.address.site == self._site
        return mine and stamped_itself(live, stamp)

    def _unseen(
        self, known: Sequence[Record], found: Mapping[Address, Observation], seen: Seen, now: float
    ) -> dict[Address, Observation]:
        """What is remembered and lies where we may not look: not known to be gone."""
        lost: dict[Address, Observation] = {}
        for record in known:
            why = seen.why_unseen(record.address.kind, split_name(record.address.name)[0])
            if why and record.address not in found:
                lost[record.address] = Unreachable(why, cause=why, seen_at=now)
        return lost


def facts(live: Object, declared: Mapping[str, Any]) -> dict[str, Any]:
    """The object as expressions may read it: what is secret in it is so here, and nothing of the API server's own."""
    hidden = ("data", "stringData") if live.get("kind") == "Secret" else ()
    kept = _without_secrets({key: value for key, value in live.items() if key not in hidden}, declared)
    if hidden:
        label = f"Secret {metadata(live).get('namespace')}/{metadata(live).get('name')}"
        kept["data"] = {key: Secret(value, label) for key, value in (live.get("data") or {}).items()}
    meta = {key: value for key, value in metadata(kept).items() if key != "managedFields"}
    annotations = {k: v for k, v in (meta.get("annotations") or {}).items() if k not in (STAMP, HEALED, _LAST_APPLIED)}
    return {**kept, "metadata": {**meta, "annotations": annotations}}


def _without_secrets(live: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """The object without what is declared with a secret in it; of lists, the whole list."""
    kept = {}
    for key, value in live.items():
        wanted = declared.get(key)
        if not has_secret(wanted):
            kept[key] = value
        elif isinstance(wanted, Mapping) and isinstance(value, Mapping):
            kept[key] = _without_secrets(value, wanted)
    return kept


def _places(units: Sequence[Unit], known: Sequence[Record]) -> dict[str, set[str]]:
    places: dict[str, set[str]] = {}
    for address in [*(u.address for u in units), *(r.address for r in known)]:
        places.setdefault(address.kind, set()).add(split_name(address.name)[0])
    return places


def _version_of(unit: Unit) -> str:
    return str(manifest_of(unit).get("apiVersion", "")).rpartition("/")[2]
