"""Fields that are left to others: `ignore`d paths, what an autoscaler sets, and what is `contested`. Pure.

A field that is left is not applied where somebody else has set it, and with the value that it has where only we have:
nobody's value changes, and none is taken away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.model.unit import Unit
from orchestrator.model.values import Value
from orchestrator.modes.agile.diff import fields
from orchestrator.modes.agile.diff.differing import item_label
from orchestrator.modes.agile.objects import Object, kind_of, metadata

REPLICAS = "spec.replicas"
_STEP = re.compile(r"\.?([^.\[\]]+)|\[([^\]]*)\]")
_AUTOSCALER = "HorizontalPodAutoscaler.autoscaling"
_SCALED_OBJECT = "ScaledObject.keda.sh"  # makes an autoscaler of its own
_CONTROLLERS = "kube-controller-manager"  # the autoscaler writes under this name


def steps(path: str) -> tuple[str, ...]:
    """`spec.containers[web].image` in its parts; what is in brackets is a key or the label of an item."""
    return tuple(name or label for name, label in _STEP.findall(path))


def scaled_by(units: Iterable[Unit]) -> frozenset[str]:
    """The identities of what the autoscalers among these units scale."""
    found = set()
    for unit in units:
        manifest = unit.spec.get("object")
        if unit.address.kind not in (_AUTOSCALER, _SCALED_OBJECT) or not isinstance(manifest, Mapping):
            continue
        spec = manifest.get("spec")
        target = spec.get("scaleTargetRef") if isinstance(spec, Mapping) else None
        if isinstance(target, Mapping):
            version, kind = str(target.get("apiVersion") or "apps/v1"), str(target.get("kind") or "Deployment")
            found.add(f"{kind_of(version, kind)}/{metadata(manifest).get('namespace')}/{target.get('name')}")
    return frozenset(found)


def left_to_others(unit: Unit, live: Object, scaled: frozenset[str]) -> tuple[str, ...]:
    """The paths that are not ours to say: declared so, or set by an autoscaler, ours or anybody's."""
    declared = unit.spec.get("ignore")
    paths = [str(path) for path in declared] if isinstance(declared, list | tuple) else []
    if unit.identity in scaled or _is_autoscaled(live):
        paths.append(REPLICAS)
    return tuple(paths)


def _is_autoscaled(live: Object) -> bool:
    """Whether an autoscaler was the last to set the replicas."""
    spec = live.get("spec")
    if not isinstance(spec, Mapping) or "replicas" not in spec:
        return False
    for one in fields.owners(live, str(live.get("apiVersion"))):
        if one.manager == _CONTROLLERS and "f:replicas" in (one.tree.get("f:spec") or {}):
            return True
    return False


def with_live(manifest: Mapping[str, Value], live: Object, paths: Sequence[str]) -> dict[str, Value]:
    """The manifest without these paths, or with the live object's values there where nobody but us holds them."""
    made: Any = dict(manifest)
    if not paths:
        return made  # type: ignore[no-any-return]
    start = _At(fields.owners(live, str(manifest.get("apiVersion"))))
    for path in paths:
        made = _put(made, live, steps(path), start)
    return made  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class _At:
    """Where in the object we are: who owns what from here on, and the name of the field."""

    owned: tuple[fields.Owned, ...]
    field: str = ""

    @property
    def is_anothers(self) -> bool:
        """Whether another manager has set this very field, so that it stays without us."""
        return any(not one.ours and not one.tree.keys() - {"."} for one in self.owned)

    def below(self, name: str) -> _At:
        return _At(fields.below(self.owned, f"f:{name}"), name)

    def item(self, item: Any) -> _At:
        return _At(fields.below_item(self.owned, item) if isinstance(item, Mapping) else ())


def _put(wanted: Any, live: Any, rest: Sequence[str], at: _At) -> Any:
    if isinstance(wanted, Mapping):
        return _put_in_map(wanted, live if isinstance(live, Mapping) else {}, rest, at)
    if isinstance(wanted, list | tuple) and isinstance(live, list):
        return _put_in_list(wanted, live, rest, at)
    return wanted


def _put_in_map(wanted: Mapping[str, Any], live: Mapping[str, Any], rest: Sequence[str], at: _At) -> dict[str, Any]:
    made = dict(wanted)
    for name in sorted({*wanted, *live}) if rest[0] == "*" else [rest[0]]:
        below = at.below(name)
        if name in wanted and len(rest) > 1:
            made[name] = _put(wanted[name], live.get(name), rest[1:], below)
        elif len(rest) == 1 and (name not in live or below.is_anothers):
            made.pop(name, None)
        elif len(rest) == 1 and (name in wanted or any(one.ours for one in below.owned)):
            made[name] = live[name]
    return made


def _put_in_list(wanted: Sequence[Any], live: list[Any], rest: Sequence[str], at: _At) -> list[Any]:
    keys = fields.list_keys(at.owned, at.field, [*wanted, *live])
    places = {_name(item, index, keys): item for index, item in enumerate(live)}
    made: list[Any] = []
    for index, item in enumerate(wanted):
        name = _name(item, index, keys)
        if rest[0] not in ("*", name, str(index)):
            made.append(item)
        elif len(rest) > 1:
            made.append(_put(item, places.get(name), rest[1:], at.item(item)))
        elif name in places and not at.item(item).is_anothers:
            made.append(places[name])
    return made


def _name(item: Any, index: int, keys: Sequence[str]) -> str:
    """What an item of a list is called in a path."""
    if isinstance(item, Mapping):
        return item_label(item, keys) or str(index)
    return str(index) if keys else str(item)
