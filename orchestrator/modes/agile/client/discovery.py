"""Which kinds an API server serves, under which paths; kept on disk for some minutes."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from orchestrator.errors import DriverError
from orchestrator.modes.agile.client.api import Api

_FRESH = 300.0  # seconds that a stored answer is trusted; a kind that it lacks is asked for at once
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind in one version, and where its objects are."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: Sequence[str] = ()

    @property
    def api_version(self) -> str:
        """`apps/v1`, `v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def name(self) -> str:
        """`Deployment.apps`, as addresses have it."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    def collection(self, namespace: str = "") -> str:
        """The path of all its objects, or of those in one namespace."""
        base = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return (
            f"{base}/namespaces/{namespace}/{self.plural}" if namespace and self.namespaced else f"{base}/{self.plural}"
        )

    def path(self, namespace: str, name: str) -> str:
        """The path of one object."""
        return f"{self.collection(namespace)}/{name}"


class Kinds:
    """The kinds of one API server."""

    def __init__(self, api: Api, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._api = api
        self._clock = clock
        self._file = folder / f"kinds-{hashlib.sha256(api.server.encode()).hexdigest()[:12]}.json"
        self._lock = threading.Lock()
        self._kinds: dict[str, list[Kind]] | None = None
        self._asked = False

    def find(self, kind: str, version: str = "") -> Kind | None:
        """A kind as addresses name it (`Deployment.apps`), in a version or the preferred one; None if not served.

        Raises UnreachedError and RefusedError.
        """
        with self._lock:
            if self._kinds is None:
                self._kinds = self._stored()
            if self._kinds is not None and (found := _pick(self._kinds, kind, version)):
                return found
            if not self._asked:
                self._ask()
            return _pick(self._kinds or {}, kind, version)

    def all(self) -> list[Kind]:
        """Every kind that is served, in its preferred version; asked for anew."""
        with self._lock:
            self._ask()
            return [versions[0] for versions in (self._kinds or {}).values()]

    def expire(self) -> None:
        """Ask again for what is missing the next time: something may have been added."""
        with self._lock:
            self._asked = False

    def _ask(self) -> None:
        self._kinds = {}
        for path in ("/api", "/apis"):
            answer = self._api.get(path, accept=f"{_AGGREGATED},application/json")
            if answer.get("kind") != "APIGroupDiscoveryList":
                raise DriverError(
                    f"Kubernetes API {self._api.server}: is older than 1.27",
                    hint="use a cluster that is still supported",
                )
            for kind in _parsed(answer):
                self._kinds.setdefault(kind.name, []).append(kind)
        self._asked = True
        self._store()

    def _stored(self) -> dict[str, list[Kind]] | None:
        try:
            data = orjson.loads(self._file.read_bytes())
            if not 0 <= self._clock() - data["asked_at"] < _FRESH or data["server"] != self._api.server:
                return None
            kinds = [Kind(*fields) for fields in data["kinds"]]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        found: dict[str, list[Kind]] = {}
        for kind in kinds:
            found.setdefault(kind.name, []).append(kind)
        return found

    def _store(self) -> None:
        rows = [
            [k.group, k.version, k.kind, k.plural, k.namespaced, k.verbs]
            for v in (self._kinds or {}).values()
            for k in v
        ]
        data = {"asked_at": self._clock(), "server": self._api.server, "kinds": rows}
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine = self._file.with_suffix(f".{threading.get_ident()}")
        mine.write_bytes(orjson.dumps(data))
        mine.replace(self._file)


def _pick(kinds: Mapping[str, list[Kind]], kind: str, version: str) -> Kind | None:
    return next((k for k in kinds.get(kind, ()) if version in ("", k.version)), None)


def _parsed(answer: Mapping[str, Any]) -> list[Kind]:
    """The kinds of an aggregated discovery answer, each group's preferred version first."""
    found = []
    for group in answer.get("items") or []:
        for version in group.get("versions") or []:
            for resource in version.get("resources") or []:
                kind = resource.get("responseKind") or {}
                if kind.get("kind"):
                    found.append(
                        Kind(
                            group=str((group.get("metadata") or {}).get("name") or ""),
                            version=str(version["version"]),
                            kind=str(kind["kind"]),
                            plural=str(resource["resource"]),
                            namespaced=resource.get("scope") == "Namespaced",
                            verbs=tuple(resource.get("verbs") or ()),
                        )
                    )
    return found
