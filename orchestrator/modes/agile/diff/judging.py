"""What the API server's dry run says: how the object would differ from what it is, or what its refusal means. Pure.

Both sides are the server's own, normalized, defaulted and changed by its webhooks: what is equal here is equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.model.observation import Difference
from orchestrator.model.values import Value, has_secret
from orchestrator.modes.agile.client.api import RefusedError
from orchestrator.modes.agile.diff import fields
from orchestrator.modes.agile.diff.differing import ITS_OWN, item_label
from orchestrator.modes.agile.diff.points import Masks, Point
from orchestrator.modes.agile.objects import Object

_IMMUTABLE = re.compile(
    r"immutable|may not (be )?chang|cannot (be )?chang|can not be chang|updates to .* are forbidden|fields other than",
    re.IGNORECASE | re.DOTALL,
)


def outcome(
    before: Object, after: Object, declared: Mapping[str, Value], *, secret: Callable[[str], bool]
) -> tuple[Difference, ...]:
    """How an object would differ after an apply from what it is before; `declared` says what of it is secret."""
    masks = Masks(secret, all_text=str(before.get("kind")) == "Secret")
    start = Point(before, masks, owned=fields.owners(before, str(after.get("apiVersion"))))
    found = _walk(before, after, dict(declared), start)
    return tuple(replace(difference, replace=False) for difference in found)  # it was taken: nothing forbids it


def _walk(before: Any, after: Any, declared: Value, at: Point) -> Iterator[Difference]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after} - _left_out(at)):
            below = declared.get(name) if isinstance(declared, Mapping) else None
            yield from _walk(before.get(name), after.get(name), below, at.field(name))
    elif isinstance(before, list) and (isinstance(after, list) or after is None):
        yield from _walk_list(before, after or [], declared, at)
    else:
        yield at.difference(before, after, hidden=has_secret(declared))


def _left_out(at: Point) -> frozenset[str]:
    """What is the API server's own."""
    if not at.names:
        return frozenset(("status",))
    return ITS_OWN if at.names == ("metadata",) else frozenset()


def _walk_list(before: list[Any], after: list[Any], declared: Value, at: Point) -> Iterator[Difference]:
    items = [*before, *after]
    keys = fields.list_keys(at.owned, at.names[-1] if at.names else "", items)
    if keys and _distinct(before, keys) and _distinct(after, keys):
        yield from _walk_keyed(before, after, declared, at, keys)
    elif fields.is_set(at.owned) and not any(isinstance(item, Mapping | list) for item in items):
        yield from _walk_set(before, after, declared, at)
    elif len(before) == len(after) and all(isinstance(item, Mapping) for item in items):
        wanted = declared if isinstance(declared, list | tuple) else []
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            below = wanted[index] if index < len(wanted) else None
            yield from _walk(old, new, below, at.item(str(index)))
    else:
        yield at.difference(before, after or None, hidden=has_secret(declared))


def _walk_set(before: list[Any], after: list[Any], declared: Value, at: Point) -> Iterator[Difference]:
    hidden = has_secret(declared)
    for member in before:
        if member not in after:
            yield at.item(str(member)).difference(member, None, hidden=hidden)
    for member in after:
        if member not in before:
            yield at.item(str(member)).difference(None, member, hidden=hidden)


def _walk_keyed(
    before: list[Any], after: list[Any], declared: Value, at: Point, keys: Sequence[str]
) -> Iterator[Difference]:
    old = {fields.key_of(item, keys): item for item in before}
    new = {fields.key_of(item, keys): item for item in after}
    wanted = [item for item in declared if isinstance(item, Mapping)] if isinstance(declared, list | tuple) else []
    asked = {fields.key_of(item, keys): item for item in wanted}
    for key in {**old, **new}:
        item = old.get(key) or new[key]
        there = at.item(item_label(item, keys), fields.below_item(at.owned, item))
        yield from _walk(old.get(key), new.get(key), asked.get(key), there)
    if [key for key in old if key in new] != [key for key in new if key in old]:
        yield at.difference([item_label(x, keys) for x in before], [item_label(x, keys) for x in after])


def _distinct(items: list[Any], keys: Sequence[str]) -> bool:
    """Whether each item is a map that its keys tell from the others."""
    if not all(isinstance(item, Mapping) for item in items):
        return False
    found = [fields.key_of(item, keys) for item in items]
    return len(set(found)) == len(found)


# -- refusals


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0]


def is_about_the_object(refused: RefusedError) -> bool:
    """Whether the object is at fault; if not, only the dry run was not possible: no right to it, no webhook, gone."""
    if refused.status in (404, 405, 409) or webhook_trouble(refused):
        return False
    no_right = refused.status == 403 and " cannot patch resource " in refused.message
    return not no_right and "does not support dry run" not in refused.message


def passing(refused: RefusedError) -> str:
    """Why a refusal may pass by itself in a moment; empty where it will not."""
    if why := webhook_trouble(refused):
        return why
    if refused.status == 403 and "status unknown for quota" in refused.message:
        return "its namespace's quota has not been counted yet"
    if refused.status == 404 and "could not find the requested resource" in refused.message:
        return "its kind is not served yet"
    return ""


def webhook_trouble(refused: RefusedError) -> str:
    """Which webhook could not be asked, and why; empty where it is something else."""
    found = re.search(r"failed calling webhook \"([^\"]*)\": (.*)", refused.message, re.DOTALL)
    if found is None or refused.status < 500:
        return ""
    return f"webhook {found[1]} is not ready: {_first_line(found[2]).removeprefix('failed to call webhook: ')}"


def forced(
    refused: RefusedError, local: Sequence[Difference], declared: Mapping[str, Value] = {}
) -> tuple[Difference, ...]:
    """The differences with `replace` where the refusal is only about fields that cannot be changed in place.

    Empty where something else is refused as well, or where no difference is at the field that is named.
    """
    causes = [_without_defaults(cause, declared) for cause in refused.causes]
    if not causes or not all(_IMMUTABLE.search(str(cause.get("message", ""))) for cause in causes):
        return ()
    forcing = {each.path for cause in causes for each in _meant(str(cause.get("field", "")), local)}
    return tuple(replace(each, replace=each.path in forcing) for each in local) if forcing else ()


def _without_defaults(cause: Mapping[str, Any], declared: Mapping[str, Value]) -> Mapping[str, Any]:
    """A Deployment keeps the defaults of a rolling update, which no apply takes away and `Recreate` forbids: to it the
    strategy is immutable, unless it is our manifest that has both."""
    spec = declared.get("spec")
    strategy = spec.get("strategy") if isinstance(spec, Mapping) else None
    if cause.get("field") != "spec.strategy.rollingUpdate" or not isinstance(strategy, Mapping):
        return cause
    if strategy.get("type") != "Recreate" or strategy.get("rollingUpdate"):
        return cause
    return {"field": "spec.strategy", "message": "immutable"}


def _meant(named: str, local: Sequence[Difference]) -> list[Difference]:
    """The differences that a refusal of this field is about; our own table knows where it names all of `spec`."""
    touched = [each for each in local if _touches(each.path, named)] if named != "spec" else []
    return touched or [each for each in local if each.replace]


def _touches(path: str, named: str) -> bool:
    """Whether one is the other or below it; `spec.persistentvolumesource` names the whole source, whatever its kind."""
    if named == "spec.persistentvolumesource":
        return path.startswith("spec.") and path.count(".") > 1
    one, other = f"{path}.".replace("[", "."), f"{named}.".replace("[", ".")
    return one.startswith(other) or other.startswith(one)
