"""What `managedFields` tell: who owns which field, and which lists are keyed by what. Pure.

A tree of owned fields is the API server's `fieldsV1` as it is: `f:name` for a field, `k:{"name":"web"}` for an
item of a keyed list, `v:"x"` for a member of a set, `.` for the thing itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from orchestrator.modes.agile.objects import MANAGER, Object, metadata

Tree = Mapping[str, Any]

# For lists whose keys no manager's fields tell: the field's name -> the keys.
KNOWN_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
# Keys that may be left out when they have this value.
DEFAULTS: Mapping[str, Any] = {"protocol": "TCP"}


@dataclass(frozen=True, slots=True)
class Owned:
    """One manager's fields below some point of an object; `ours` tells our own applied ones.

    `time` is when the manager last changed any of its fields, as the API server writes it; `alone`: it has but one.
    """

    manager: str
    ours: bool
    tree: Tree
    time: str = ""
    alone: bool = False

    def at(self, key: str) -> Owned | None:
        """The part below one element; None if the manager owns nothing there."""
        found = self.tree.get(key)
        return replace(self, tree=found) if isinstance(found, Mapping) else None


def owners(live: Object, api_version: str) -> tuple[Owned, ...]:
    """Who owns what, the latest last; status and fields of other API versions than the declared one left out."""
    entries = metadata(live).get("managedFields")
    found = [e for e in entries if isinstance(e, Mapping)] if isinstance(entries, Sequence) else []
    found = [e for e in found if not e.get("subresource") or e.get("subresource") == "scale"]
    return tuple(
        Owned(
            manager=str(entry.get("manager", "")),
            ours=entry.get("manager") == MANAGER and entry.get("operation") == "Apply",
            tree=entry.get("fieldsV1") or {},
            time=str(entry.get("time", "")),
            alone=_has_one(entry.get("fieldsV1") or {}),
        )
        for entry in sorted(found, key=lambda e: str(e.get("time", "")))
        if entry.get("apiVersion") == api_version or entry.get("subresource") == "scale"
    )


def since(live: Object, owned: Sequence[Owned]) -> tuple[float, float] | None:
    """Between which times (seconds since the epoch) others, who own a field now, have changed it; None if unknown.

    The last of them says when it last changed anything. It was not before we last applied the object.
    """
    others = [one for one in owned if not one.ours and one.manager != MANAGER and one.time]
    if not others:
        return None
    latest = _seconds(others[-1].time)
    ours = [e for e in metadata(live).get("managedFields") or [] if e.get("manager") == MANAGER and e.get("time")]
    if latest is None or others[-1].alone or not ours:
        return (latest, latest) if latest is not None and others[-1].alone else None
    applied = max(filter(None, (_seconds(str(entry["time"])) for entry in ours)), default=None)
    return (applied, latest) if applied is not None and applied <= latest else None


def _seconds(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _has_one(tree: Tree) -> bool:
    """Whether a manager has one field only, as after `kubectl scale`."""
    while tree:
        keys = [key for key in tree if key != "."]
        if len(keys) != 1:
            return not keys
        tree = tree[keys[0]] if isinstance(tree[keys[0]], Mapping) else {}
    return True


def below(owned: Sequence[Owned], key: str) -> tuple[Owned, ...]:
    """All managers' parts below one element."""
    return tuple(part for one in owned if (part := one.at(key)) is not None)


def below_item(owned: Sequence[Owned], item: Mapping[str, Any]) -> tuple[Owned, ...]:
    """All managers' parts below one item of a keyed list."""
    found = []
    for one in owned:
        for key, keys in keyed(one.tree):
            if matches(item, keys) and (part := one.at(key)) is not None:
                found.append(part)
    return tuple(found)


def keyed(tree: Tree) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The `k:` elements of a tree with their keys."""
    for key in tree:
        if key.startswith("k:"):
            yield key, json.loads(key[2:])


def members(tree: Tree) -> Iterator[Any]:
    """The members of a set that a tree has."""
    for key in tree:
        if key.startswith("v:"):
            yield json.loads(key[2:])


def matches(item: object, keys: Mapping[str, Any]) -> bool:
    """Whether an item of a keyed list has these keys; one that a defaulted key is left out of, too."""
    return isinstance(item, Mapping) and all(item.get(k, DEFAULTS.get(k)) == v for k, v in keys.items())


def list_keys(owned: Sequence[Owned], field: str, items: Sequence[Any]) -> tuple[str, ...]:
    """What the items of a list are told apart by; empty for a list that is compared as a whole."""
    for one in owned:
        for _, keys in keyed(one.tree):
            return tuple(keys)
    if field == "ports":
        return _port_keys(items)
    return KNOWN_KEYS.get(field, ())


def _port_keys(items: Sequence[Any]) -> tuple[str, ...]:
    first = items[0] if items and isinstance(items[0], Mapping) else {}
    for key in ("containerPort", "port"):
        if key in first:
            return (key, "protocol")
    return ()


def is_set(owned: Sequence[Owned]) -> bool:
    """Whether a list is a set of values of which several managers may each own some."""
    return any(key.startswith("v:") for one in owned for key in one.tree)


def key_of(item: Mapping[str, Any], keys: Sequence[str]) -> tuple[Any, ...]:
    """An item's own keys, defaulted ones filled in."""
    return tuple(item.get(k, DEFAULTS.get(k)) for k in keys)
