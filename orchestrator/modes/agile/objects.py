"""Kubernetes objects as plain JSON data: who they are, our labels and our stamp on them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from orchestrator.model.address import Address
from orchestrator.model.unit import Stamp, Unit
from orchestrator.model.values import Value

DOMAIN = "orchestrator.dev"
ESTATE = f"{DOMAIN}/estate"
PLACEMENT = f"{DOMAIN}/placement"
WORKLOAD = f"{DOMAIN}/workload"
INVENTORY = f"{DOMAIN}/inventory"
STAMP = f"{DOMAIN}/stamp"
HEALED = f"{DOMAIN}/healed"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "orchestrator"  # our field manager in server-side apply, and the value of MANAGED_BY

Object = Mapping[str, Any]


def group_of(api_version: str) -> str:
    """The API group, empty for the core group."""
    return api_version.rpartition("/")[0]


def kind_of(api_version: str, kind: str) -> str:
    """A kind with its group, as addresses have it: `Deployment.apps`, `Service`."""
    group = group_of(api_version)
    return f"{kind}.{group}" if group else kind


def metadata(thing: Object) -> Mapping[str, Any]:
    """An object's metadata; empty where there is none."""
    found = thing.get("metadata")
    return found if isinstance(found, Mapping) else {}


def name_of(thing: Object) -> str:
    """`namespace/name`, or `name` for what has no namespace."""
    meta = metadata(thing)
    namespace = meta.get("namespace")
    return f"{namespace}/{meta.get('name')}" if namespace else str(meta.get("name"))


def identity_of(thing: Object) -> str:
    """What the object is on its cluster, as units name it: kind with group, then `name_of`."""
    return f"{kind_of(str(thing['apiVersion']), str(thing['kind']))}/{name_of(thing)}"


def split_name(name: str) -> tuple[str, str]:
    """The namespace (empty where there is none) and the name of an address's name."""
    namespace, _, last = name.rpartition("/")
    return namespace, last


def labels_for(estate_id: str, address: Address) -> dict[str, str]:
    """The labels that everything of ours bears."""
    return {
        MANAGED_BY: MANAGER,
        ESTATE: estate_id,
        PLACEMENT: address.placement,
        WORKLOAD: address.workload,
    }


def manifest_of(unit: Unit) -> Mapping[str, Value]:
    """The object that a unit declares."""
    manifest = unit.spec["object"]
    assert isinstance(manifest, Mapping)
    return manifest


def dressed(manifest: Mapping[str, Value], labels: Mapping[str, str], marks: Mapping[str, str]) -> dict[str, Value]:
    """The manifest with our labels and annotations."""
    meta: Mapping[str, Value] = metadata(manifest)
    own_labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    if not isinstance(own_labels, Mapping) or not isinstance(annotations, Mapping):
        return dict(manifest)  # the API server says what is wrong with it
    return {
        **manifest,
        "metadata": {**meta, "labels": {**own_labels, **labels}, "annotations": {**annotations, **marks}},
    }


def stamp_text(stamp: Stamp) -> str:
    """The stamp as its annotation holds it."""
    return json.dumps(stamp.as_data(), separators=(",", ":"), sort_keys=True)


def annotation(thing: Object, name: str) -> str:
    """An annotation's text; empty where there is none."""
    annotations = metadata(thing).get("annotations")
    return str(annotations.get(name, "")) if isinstance(annotations, Mapping) else ""


def marks_of(thing: Object) -> dict[str, str]:
    """Our annotations on an object."""
    return {name: text for name in (STAMP, HEALED) if (text := annotation(thing, name))}


def stamp_of(thing: Object) -> Stamp | None:
    """The stamp that an object bears; None where it bears none that can be read."""
    text = annotation(thing, STAMP)
    return _stamp(text) if text else None


@lru_cache(maxsize=100_000)
def _stamp(text: str) -> Stamp | None:
    """Kept: each look, and each wave of a run, reads an object's stamp several times."""
    try:
        data = json.loads(text)
        return Stamp.from_data(data) if isinstance(data, dict) else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def estate_of(thing: Object) -> str:
    """The estate id that an object's label names; empty where it has none."""
    labels = metadata(thing).get("labels")
    return str(labels.get(ESTATE, "")) if isinstance(labels, Mapping) else ""


def stamped_itself(thing: Object, stamp: Stamp) -> bool:
    """Whether the stamp was put on this very object, not copied to it by a controller from its owner."""
    return identity_of(thing) == f"{stamp.address.kind}/{stamp.address.name}"
