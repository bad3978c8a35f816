"""Where the states of stacks are kept: in an object on the cluster, for every clone, and in our store, with history.

The object bears the program's stamp. It says `unfinished` from before a run until the run has ended well: a program
that was changed back after a failed run is not taken for what is applied.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from orchestrator.model.address import Address, Mode, WorkloadKey
from orchestrator.model.unit import Stamp
from orchestrator.modes.agile.client.api import Api, RefusedError
from orchestrator.modes.agile.inventory import Inventory
from orchestrator.modes.agile.objects import DOMAIN, ESTATE, STAMP, Object, labels_for, metadata, stamp_of, stamp_text
from orchestrator.modes.agile.programs.checkpoint import Checkpoint

STACK = f"{DOMAIN}/stack"
_TYPE = f"{DOMAIN}/stack"
_MOST_BYTES = 1_000_000  # compressed; an object takes a little more
LOST = "its state on the cluster is gone; the copy that is kept here is checked against what is there"


class States(Protocol):
    """The store's part: every state of every stack, compressed, newest last."""

    def save_state(self, key: WorkloadKey, serial: int, packed: bytes, about: Mapping[str, Any]) -> None:
        """Keep one."""

    def newest_state(self, key: WorkloadKey) -> tuple[int, bytes, Mapping[str, Any]] | None:
        """The last one that was kept, if any."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one program.

    stamp       as last applied; with an empty digest where it is unfinished
    unfinished  why the next apply has something to do although nothing was changed; empty if it has not
    confirmed   whether the cluster has it too; if not, what is there has to be looked at before it is trusted
    too_large   kept on the cluster without the state, which is where it was made
    """

    address: Address
    namespace: str
    project: str
    stack: str
    stamp: Stamp
    checkpoint: Checkpoint
    unfinished: str = ""
    uid: str = ""
    confirmed: bool = True
    too_large: bool = False

    @property
    def path(self) -> str:
        """Where its object is."""
        return path_of(self.address.workload_key, self.namespace)

    def about(self) -> dict[str, Any]:
        """What it is about, without the state itself."""
        return {
            "address": str(self.address),
            "namespace": self.namespace,
            "project": self.project,
            "stack": self.stack,
            "serial": self.checkpoint.serial,
            "unfinished": self.unfinished,
            "resources": len(self.checkpoint.resources),
            "pending": self.checkpoint.pending,
            "at": int(time.time()),
        }

    def manifest(self, estate_id: str) -> dict[str, Any]:
        """The object."""
        packed = self.checkpoint.packed() if self.checkpoint.serial else b""
        data = {"about": _encoded(json.dumps(self.about()).encode())}
        if len(packed) <= _MOST_BYTES:
            data["state"] = _encoded(packed)
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": _TYPE,
            "metadata": {
                "name": name_of(self.address.workload_key),
                "namespace": self.namespace,
                "labels": {**labels_for(estate_id, self.address), STACK: "true"},
                "annotations": {STAMP: stamp_text(self.stamp)},
            },
            "data": data,
        }


def name_of(key: WorkloadKey) -> str:
    """The object's name: that of the workload's inventory."""
    return Inventory(key, "").name


def path_of(key: WorkloadKey, namespace: str) -> str:
    """Where a program's object is."""
    return f"/api/v1/namespaces/{namespace}/secrets/{name_of(key)}"


def kept_of(thing: Object) -> Kept | None:
    """What an object holds; None where somebody has spoilt it."""
    try:
        data = thing["data"]
        about = json.loads(base64.b64decode(data["about"]))
        packed = base64.b64decode(data.get("state") or "")
        checkpoint = Checkpoint.unpacked(packed, int(about["serial"])) if packed else Checkpoint(b"", 0)
        stamp = stamp_of(thing)
        address = Address.parse(about["address"])
    except (KeyError, ValueError, TypeError, AttributeError, OSError, EOFError, binascii.Error):
        return None
    if stamp is None:
        return None
    return Kept(
        address=address,
        namespace=str(metadata(thing).get("namespace")),
        project=str(about.get("project")),
        stack=str(about.get("stack")),
        stamp=stamp,
        checkpoint=checkpoint,
        unfinished=str(about.get("unfinished") or ""),
        uid=str(metadata(thing).get("uid")),
        too_large=bool(about["serial"]) and not packed,
    )


def find(api: Api, estate_id: str, site: str, namespaces: Iterable[str]) -> tuple[dict[Address, Kept], dict[str, str]]:
    """All that are kept of this estate and site, and why a namespace could not be looked in ("" for all).

    One LIST; where that is forbidden, one in each of these namespaces. Raises UnreachedError.
    """
    query = {"labelSelector": f"{ESTATE}={estate_id},{STACK}=true"}
    unseen: dict[str, str] = {}
    try:
        things = api.list("/api/v1/secrets", **query)
    except RefusedError:
        things = []
        for namespace in sorted(set(namespaces)):
            try:
                things += api.list(f"/api/v1/namespaces/{namespace}/secrets", **query)
            except RefusedError as refused:
                unseen[namespace] = f"cannot list secrets in namespace {namespace}: {refused.message}"
    found = [kept for thing in things if (kept := kept_of(thing)) is not None]
    return {kept.address: kept for kept in found if kept.address.site == site}, unseen


def newest(kept: Kept | None, address: Address, estate_id: str, states: States | None) -> Kept | None:
    """What the cluster has; else, where our store has a state with something in it, that."""
    stored = states.newest_state(address.workload_key) if states is not None else None
    if stored is None:
        return kept
    serial, packed, about = stored
    if kept is not None and not (kept.too_large and kept.checkpoint.serial <= serial):
        return kept
    checkpoint = Checkpoint.unpacked(packed, serial)
    if kept is not None:
        return replace(kept, checkpoint=checkpoint, too_large=False)
    if not checkpoint.resources and not checkpoint.pending:
        return None
    stamp = Stamp(estate_id, address, "")
    return Kept(
        address=address,
        namespace=str(about.get("namespace")),
        project=str(about.get("project")),
        stack=str(about.get("stack")),
        stamp=stamp,
        checkpoint=checkpoint,
        unfinished=LOST,
        confirmed=False,
    )


def keep(api: Api, estate_id: str, kept: Kept, states: States | None) -> None:
    """Write it down, here first: then nothing is lost where the cluster cannot be reached by now."""
    key, serial = kept.address.workload_key, kept.checkpoint.serial
    if states is not None and serial:
        before = states.newest_state(key)
        if before is None or before[0] != serial:  # the same state is kept once
            states.save_state(key, serial, kept.checkpoint.packed(), kept.about())
    api.apply(kept.path, kept.manifest(estate_id), force=True)


def address_of(key: WorkloadKey, kind: str, namespace: str) -> Address:
    """The address of a workload's program."""
    return Address(key.site, key.placement, Mode.AGILE, key.workload, kind, f"{namespace}/{key.workload}")


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
