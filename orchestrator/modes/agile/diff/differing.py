"""How a live object differs from what is declared: declared fields only, and those of ours that no longer are. Pure.

Defaults and what others add are no difference; another spelling of the same value is none either (quantities, empty
or zero values that the API server leaves out, `stringData`).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.model.observation import Difference
from orchestrator.model.values import Secret, Unknown, Value, leaves, mapped
from orchestrator.modes.agile.diff import fields, quantities
from orchestrator.modes.agile.diff.fields import Owned
from orchestrator.modes.agile.diff.plainly import is_plainly_as
from orchestrator.modes.agile.diff.points import Masks, Point
from orchestrator.modes.agile.objects import Object, metadata

# What the API server keeps itself: no part of what is declared.
ITS_OWN = frozenset(
    ("creationTimestamp", "resourceVersion", "uid", "generation", "managedFields", "selfLink", "deletionTimestamp")
)


def differences(
    declared: Mapping[str, Value], live: Object, *, secret: Callable[[str], bool] = lambda text: False
) -> tuple[Difference, ...]:
    """Each declared field that is not as declared, and each field of ours that is declared no more.

    Fields with unknown values are left out. `old` and `new` are Secrets where the declared value is one, in a
    Secret's data, and where `secret` says so of a live text.
    """
    wanted = plain_data(declared)
    masks = Masks(secret, all_text=str(live.get("kind")) == "Secret")
    owned = fields.owners(live, str(wanted.get("apiVersion")))
    if is_plainly_as(wanted, live, next((one.tree for one in owned if one.ours), {})):
        return ()
    start = Point(live, masks, owned=owned)
    found = [*_changed(wanted, live, start), *_left(wanted, live, start)]
    return tuple(_unique(found))


def plain_data(manifest: Mapping[str, Value]) -> dict[str, Value]:
    """The manifest without what is not ours to say, a Secret's `stringData` moved into its `data`."""
    data = {key: value for key, value in manifest.items() if key not in ("status", "stringData")}
    meta = data.get("metadata")
    if isinstance(meta, Mapping):
        data["metadata"] = {key: value for key, value in meta.items() if key not in ITS_OWN}
    if manifest.get("kind") != "Secret":
        return data
    before, text = data.get("data"), manifest.get("stringData")
    texts = {key: _unwrapped(value) for key, value in before.items()} if isinstance(before, Mapping) else {}
    if isinstance(text, Mapping):
        texts |= {key: _encoded(value) for key, value in text.items()}
    return {**data, "data": texts} if texts else data


def _unwrapped(value: Value) -> Value:
    """Base64 without its line breaks, as the API server gives it back."""
    plain = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(plain, str) or not any(character.isspace() for character in plain):
        return value
    joined = "".join(plain.split())
    return Secret(joined, value.label) if isinstance(value, Secret) else joined


def _encoded(value: Value) -> Value:
    if isinstance(value, Unknown) or value is None:
        return value
    plain = value.reveal() if isinstance(value, Secret) else value
    encoded = base64.b64encode(str(plain).encode()).decode()
    return Secret(encoded, value.label) if isinstance(value, Secret) else encoded


def _changed(wanted: Value, live: Any, at: Point) -> Iterator[Difference]:
    """The declared fields that are not as declared, from here on."""
    if wanted is None or isinstance(wanted, Unknown):
        return
    if live is None:
        if not _left_out(wanted, at):
            yield at.difference(None, _without_unknown(wanted))
    elif isinstance(wanted, Mapping):
        if not isinstance(live, Mapping):
            yield at.difference(live, _without_unknown(wanted))
            return
        for name, value in wanted.items():
            yield from _changed(value, live.get(name), at.field(name))
    elif isinstance(wanted, list | tuple):
        yield from _changed_list(wanted, live, at)
    elif not _same(wanted, live, at.names):
        yield at.difference(live, wanted)


def _left_out(wanted: Value, at: Point) -> bool:
    """Whether a field is missing only because the API server leaves out what is empty, or a zero that is still ours."""
    return _empty(wanted) or (_zero(wanted) and (at.ours or not metadata(at.live).get("managedFields")))


def _changed_list(wanted: Sequence[Value], live: Any, at: Point) -> Iterator[Difference]:
    if not isinstance(live, list):
        yield at.difference(live, _without_unknown(list(wanted)))
    elif keys := fields.list_keys(at.owned, at.names[-1] if at.names else "", [*live, *wanted]):
        for item in wanted:
            if isinstance(item, Mapping):
                there = next((x for x in live if _same_item(item, x, keys)), None)
                yield from _changed(item, there, at.item(item_label(item, keys), fields.below_item(at.owned, item)))
    elif fields.is_set(at.owned) or at.names[-1:] == ("finalizers",):
        for item in wanted:
            if not any(_same(item, x, at.names) for x in live):
                yield at.item(str(item)).difference(None, item)
    elif len(live) != len(wanted) or not any(isinstance(x, Mapping | list) for x in wanted):
        unknown = any(isinstance(leaf, Unknown) for leaf in leaves(list(wanted)))
        if len(live) != len(wanted) or not all(_same(w, x, at.names) for w, x in zip(wanted, live, strict=True)):
            yield at.difference(live, _without_unknown(list(wanted)) if unknown else list(wanted))
    else:
        for index, (item, there) in enumerate(zip(wanted, live, strict=True)):
            yield from _changed(item, there, at.item(str(index)))


def _left(wanted: Value, live: Any, at: Point) -> Iterator[Difference]:
    """What we applied before and do not declare any more, from here on."""
    ours = [one for one in at.owned if one.ours]
    if not ours or isinstance(wanted, Unknown | Secret):
        return
    for key in ours[0].tree:
        if key.startswith("f:") and isinstance(live, Mapping) and key[2:] in live:
            name, there = key[2:], at.field(key[2:])
            if isinstance(wanted, Mapping) and wanted.get(name) is not None:
                yield from _left(wanted[name], live[name], there)
            elif not (isinstance(wanted, Mapping) and name in wanted):
                yield there.difference(live[name], None)
    if isinstance(live, list):
        yield from _left_items(wanted, live, at, ours[0])


def _left_items(wanted: Value, live: list[Any], at: Point, ours: Owned) -> Iterator[Difference]:
    declared = list(wanted) if isinstance(wanted, list | tuple) else []
    if any(isinstance(item, Unknown) for item in declared):
        return
    for member in fields.members(ours.tree):
        if member in live and member not in declared:
            yield at.item(str(member)).difference(member, None)
    for key, keys in fields.keyed(ours.tree):
        item = next((x for x in live if fields.matches(x, keys)), None)
        if item is None:
            continue
        there = at.item(item_label(item, tuple(keys)), fields.below_item(at.owned, item))
        mine = next((x for x in declared if _may_match(x, keys)), None)
        if mine is None:
            yield there.difference(item, None)
        else:
            yield from _left(mine, item, replace(there, owned=fields.below((ours,), key)))


def _may_match(item: object, keys: Mapping[str, Any]) -> bool:
    """Whether a declared item is the keyed one; keys that it leaves out are the API server's to fill in."""
    if not isinstance(item, Mapping):
        return False
    return all(
        isinstance(item.get(name), Unknown) or item.get(name, fields.DEFAULTS.get(name, value)) == value
        for name, value in keys.items()
    )


def _same_item(wanted: Mapping[str, Value], live: Any, keys: Sequence[str]) -> bool:
    return isinstance(live, Mapping) and _may_match(wanted, dict(zip(keys, fields.key_of(live, keys), strict=True)))


def item_label(item: Mapping[str, Any], keys: Sequence[str]) -> str:
    """How a person names an item of a keyed list: `web`, `80/TCP`."""
    return "/".join(str(item[key]) for key in keys if item.get(key) is not None)


def _same(wanted: Value, live: Any, names: Sequence[str]) -> bool:
    if isinstance(wanted, Unknown):
        return True
    plain = wanted.reveal() if isinstance(wanted, Secret) else wanted
    if isinstance(plain, bool) or isinstance(live, bool):
        return plain is live
    return bool(plain == live) or (quantities.is_quantity(names) and quantities.same(plain, live))


def _empty(value: Value) -> bool:
    """Nothing at all: None, `{}`, `[]`, or a map of nothing else."""
    if isinstance(value, Mapping):
        return all(_empty(inner) for inner in value.values())
    return value is None or (isinstance(value, list | tuple) and not value)


def _zero(value: Value) -> bool:
    """Nothing, the zero of a type, or a map of nothing else."""
    if isinstance(value, Mapping):
        return all(_zero(inner) for inner in value.values())
    plain = value.reveal() if isinstance(value, Secret) else value
    return _empty(value) or isinstance(plain, Unknown) or plain in (False, 0, "")


def _without_unknown(value: Value) -> Value:
    """The value as far as it is known, for showing."""
    known: Value = mapped(value, lambda leaf: str(leaf) if isinstance(leaf, Unknown) else leaf)
    return known


def _unique(found: Sequence[Difference]) -> Iterator[Difference]:
    """Each path once: what differs comes before what is left."""
    seen: set[str] = set()
    for difference in found:
        if difference.path not in seen:
            seen.add(difference.path)
            yield difference
