"""A site's lease on its cluster: a coordination Lease, so that two clones of an estate do not apply at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from orchestrator.errors import DriverError
from orchestrator.holders import is_dead
from orchestrator.model.outcome import Lease
from orchestrator.modes.agile.client.api import Api, RefusedError
from orchestrator.modes.agile.objects import DOMAIN, ESTATE, MANAGED_BY, MANAGER, metadata

NAMESPACE = "default"  # every cluster has it; what else a person may use is not known before anything is planned
_DATA = f"{DOMAIN}/lease"
_TRIES = 5


class Leases:
    """The lease of one site. All raise UnreachedError; DriverError where we may not have one."""

    def __init__(self, api: Api, estate_id: str, site: str, clock: Callable[[], float]) -> None:
        self._api = api
        self._estate_id = estate_id
        self._clock = clock
        name = hashlib.sha256(f"{estate_id}/{site}".encode()).hexdigest()[:12]
        self._name = f"orchestrator-{name}"

    @property
    def _collection(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"

    @property
    def _path(self) -> str:
        return f"{self._collection}/{self._name}"

    def take(self, lease: Lease) -> Lease | None:
        """Take or renew it; another's lease if that is still good."""
        for _ in range(_TRIES):
            try:
                live = self._api.find(self._path)
                if live is None:
                    self._api.post(self._collection, self._manifest(lease))
                    return None
                other = _lease_of(live)
                if other is not None and not self._may_take(other, lease):
                    return other
                self._api.put(self._path, self._manifest(lease, str(metadata(live)["resourceVersion"])))
                return None
            except RefusedError as refused:
                if refused.status == 403:
                    raise _forbidden(self._api, refused) from None
                if refused.status not in (404, 409):  # somebody was quicker: look again
                    raise _trouble(self._api, refused) from None
        raise DriverError(
            f"Kubernetes API {self._api.server}: the lease of the site changes all the time", hint="try again"
        )

    def release(self, lease: Lease) -> None:
        """Remove it if it is this holder's."""
        live = self._found()
        other = _lease_of(live) if live else None
        if live is not None and other is not None and other.holder == lease.holder:
            self._delete(live)

    def remove(self) -> None:
        """Remove it, whosever it is."""
        if (live := self._found()) is not None:
            self._delete(live)

    def _found(self) -> dict[str, Any] | None:
        try:
            return self._api.find(self._path)
        except RefusedError as refused:
            raise _trouble(self._api, refused) from None

    def _delete(self, live: dict[str, Any]) -> None:
        try:
            self._api.delete(self._path, uid=str(metadata(live).get("uid")))
        except RefusedError as refused:
            if refused.status not in (404, 409):
                raise _trouble(self._api, refused) from None

    def _may_take(self, other: Lease, mine: Lease) -> bool:
        return other.holder == mine.holder or other.until <= self._clock() or is_dead(other.holder)

    def _manifest(self, lease: Lease, resource_version: str = "") -> dict[str, Any]:
        data = {key: getattr(lease, key) for key in ("site", "holder", "run", "token", "since", "until")}
        now = self._clock()
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": self._name,
                "namespace": NAMESPACE,
                "labels": {MANAGED_BY: MANAGER, ESTATE: self._estate_id},
                "annotations": {_DATA: json.dumps(data)},
                **({"resourceVersion": resource_version} if resource_version else {}),
            },
            "spec": {
                "holderIdentity": lease.holder,
                "leaseDurationSeconds": max(1, round(lease.until - now)),
                "acquireTime": _time(lease.since),
                "renewTime": _time(now),
            },
        }


def _lease_of(live: dict[str, Any]) -> Lease | None:
    """What a Lease object says; None where nobody holds it or it says nothing that can be read."""
    try:
        data = json.loads((metadata(live).get("annotations") or {})[_DATA])
        return Lease(
            site=str(data["site"]),
            holder=str(data["holder"]),
            run=int(data["run"]),
            token=int(data["token"]),
            since=float(data["since"]),
            until=float(data["until"]),
        )
    except (KeyError, ValueError, TypeError):
        return None


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _forbidden(api: Api, refused: RefusedError) -> DriverError:
    return DriverError(
        f"Kubernetes API {api.server}: cannot take the site's lease: {refused.message}",
        hint=f"allow get, create, update and delete of leases.coordination.k8s.io in namespace {NAMESPACE}",
    )


def _trouble(api: Api, refused: RefusedError) -> DriverError:
    return DriverError(f"Kubernetes API {api.server}: the site's lease: {refused.message}", hint="look at the cluster")
