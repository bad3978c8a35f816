"""Planner situations written as YAML: what is declared, seen and remembered, and what the plan must say.

    what      one line
    units     ADDRESS: {inputs, needs, protected, blueprint, identity, spec}
    observed  ADDRESS: absent | {absent: true, refused: WHY} | {unreachable: WHY, cause, what}
              | {applied: same | INPUTS, ...Present's fields}
              (`applied` are the inputs that the stamp was made from, `same` the unit's own; without it: no stamp)
    records   `same` (all units, as declared), or ADDRESS: {applied, protected, spec, blueprint, identity}
    scope     Scope's fields
    adopting  addresses
    answered  [site, mode] of what was looked at (default: everything)
    sites     the declared sites (default: those of the units)
    rollouts  PLACEMENT/MODE: {batches, max_failures, sites}
    batches   ADDRESS: `2 of 3`, of all changes that have one
    do        plan (default) | destroy | drifted
    expect    [ADDRESS, action, reason, wave] for each change that is not none; addresses without change are none
    notes     [text]
    error     a part of PlanError's text

In inputs, {$secret: X} is a secret and {$unknown: ADDRESS} is not known yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from orchestrator import planning
from orchestrator.desired import Desired
from orchestrator.model.address import Address, Mode
from orchestrator.model.change import Plan, Scope
from orchestrator.model.observation import Absent, Difference, Observation, Present, Refusal, Unreachable
from orchestrator.model.record import Record
from orchestrator.model.rollout import Rollout
from orchestrator.model.source import Source
from orchestrator.model.unit import Stamp, Unit
from orchestrator.model.values import Secret, Unknown, masked

CASES = Path(__file__).parent / "cases"
ESTATE = "estate-1"
SALT = "5a17"


@dataclass(frozen=True)
class Case:
    """One situation, read."""

    data: Mapping[str, Any]
    units: Mapping[Address, Unit]
    observed: Mapping[Address, Observation]
    records: Mapping[Address, Record]
    scope: Scope

    @property
    def desired(self) -> Desired:
        return desired(self.units.values())

    def plan(self) -> Plan:
        made = planning.plan(
            self.desired,
            planning.Situation(
                estate="acme",
                estate_id=ESTATE,
                observed=self.observed,
                records=self.records,
                scope=self.scope,
                sites=self.data.get("sites", {address.site for address in self.units}),
                answered=self._answered(),
                adopting=frozenset(Address.parse(text) for text in self.data.get("adopting", [])),
                rollouts=dict(_rollout(*pair) for pair in self.data.get("rollouts", {}).items()),
            ),
        )
        do = self.data.get("do", "plan")
        views: dict[str, Callable[[Plan], Plan]] = {
            "plan": lambda plan: plan,
            "destroy": planning.destroy,
            "drifted": planning.drifted,
        }
        return views[do](made)

    def _answered(self) -> set[tuple[str, Mode]] | None:
        pairs = self.data.get("answered")
        return None if pairs is None else {(site, Mode(mode)) for site, mode in pairs}


def _rollout(key: str, fields: Mapping[str, Any]) -> tuple[tuple[str, Mode], Rollout]:
    placement, _, mode = key.partition("/")
    lists = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return (placement, Mode(mode)), Rollout(**lists)


def desired(units: Any) -> Desired:
    return Desired(units=tuple(units), outputs={}, notes=(), diagnostics=())


def rows(plan: Plan) -> list[list[Any]]:
    """The plan as a case file states it."""
    return [
        [str(change.address), str(change.action), change.reason, change.wave] for change in plan.changes if change.shown
    ]


def read(path: Path) -> Case:
    data = yaml.safe_load(path.read_text())
    units = {Address.parse(text): unit(text, **(of or {})) for text, of in (data.get("units") or {}).items()}
    observed = {
        Address.parse(text): _observation(Address.parse(text), seen, units.get(Address.parse(text)))
        for text, seen in (data.get("observed") or {}).items()
    }
    return Case(data, units, observed, _records(data.get("records") or {}, units), _scope(data.get("scope") or {}))


def unit(
    text: str,
    inputs: Mapping[str, Any] | None = None,
    needs: Any = (),
    protected: bool = False,
    blueprint: str = "webshop 1.5.0",
    identity: str = "",
    spec: Mapping[str, Any] | None = None,
) -> Unit:
    address = Address.parse(text)
    return Unit(
        address=address,
        spec=spec or {},
        inputs={name: _value(value) for name, value in (inputs or {"object": {"a": 1}}).items()},
        identity=identity or f"{address.kind}/{address.name}",
        source=Source("shop.yaml", 3, 1),
        needs=frozenset(Address.parse(need) for need in needs),
        protected=Source("shop.yaml", 12, 5) if protected else None,
        blueprint=blueprint,
    )


def present(one: Unit, **fields: Any) -> Present:
    """As declared."""
    return Present(stamp=one.stamp(ESTATE, SALT), **fields)


def record(one: Unit, **fields: Any) -> Record:
    """As it was left after an apply."""
    identity = fields.pop("identity", one.identity)
    known: dict[str, Any] = {
        "inputs": masked(dict(one.inputs)),
        "blueprint": one.blueprint,
        "protected": str(one.protected or ""),
        "spec": masked(dict(one.spec)),
        "run": 1,
    }
    digest = "" if one.unknown else one.digest(SALT if one.secret else "")
    return Record(one.address, digest, identity, **{**known, **fields})


def _value(data: Any) -> Any:
    if isinstance(data, dict):
        if "$secret" in data:
            return Secret(data["$secret"])
        if "$unknown" in data:
            return Unknown("string", frozenset({data["$unknown"]}))
        return {key: _value(value) for key, value in data.items()}
    return [_value(value) for value in data] if isinstance(data, list) else data


def _refusals(seen: Any) -> tuple[Refusal, ...]:
    return tuple(Refusal(why, where) for why, where in seen.get("refused", {}).items())


def _observation(address: Address, seen: Any, declared: Unit | None) -> Observation:
    if seen == "absent":
        return Absent()
    if seen.get("absent"):
        return Absent(refused=_refusals(seen))
    if "unreachable" in seen:
        return Unreachable(seen["unreachable"], cause=seen.get("cause", ""), what=seen.get("what", "unreachable"))
    fields = {
        key: value for key, value in seen.items() if key in ("ready", "because", "uid", "facts", "owner", "pending")
    } | {"refused": _refusals(seen)}
    differences = tuple(Difference(**{k: _value(v) for k, v in d.items()}) for d in seen.get("differences", []))
    return Present(stamp=_stamp(address, seen, declared), differences=differences, **fields)


def _stamp(address: Address, seen: Mapping[str, Any], declared: Unit | None) -> Stamp | None:
    if "applied" not in seen:
        return None
    inputs = {} if seen["applied"] == "same" else seen["applied"]
    old = unit(str(seen.get("as", address)), blueprint=seen.get("blueprint", "webshop 1.5.0"))
    base = dict(declared.inputs) if declared else {"object": {"a": 1}}
    changed = {**base, **{name: _value(value) for name, value in inputs.items() if value is not None}}
    changed = {name: value for name, value in changed.items() if name not in inputs or inputs[name] is not None}
    whole = Unit(old.address, {}, changed, declared.identity if declared else "", old.source, blueprint=old.blueprint)
    guard = str((declared and declared.protected) or "")
    return replace(whole.stamp(seen.get("estate", ESTATE), SALT), protected=seen.get("protected", guard))


def _records(data: Any, units: Mapping[Address, Unit]) -> dict[Address, Record]:
    if data == "same":
        return {address: record(one) for address, one in units.items()}
    found = {}
    for text, fields in data.items():
        fields = dict(fields or {})
        address = Address.parse(text)
        applied = fields.pop("applied", "same")
        base = units.get(address) or unit(text)
        if applied != "same":
            base = Unit(
                address, base.spec, {**base.inputs, **{k: _value(v) for k, v in applied.items()}}, base.identity,
                base.source, blueprint=base.blueprint,
            )  # fmt: skip
        found[address] = record(base, **fields)
    return found


def _scope(data: Mapping[str, Any]) -> Scope:
    return Scope(
        sites=frozenset(data["sites"]) if "sites" in data else None,
        placements=frozenset(data["placements"]) if "placements" in data else None,
        modes=frozenset(Mode(mode) for mode in data["modes"]) if "modes" in data else None,
        targets=tuple(data["targets"]) if "targets" in data else None,
        again=tuple(data.get("again", ())),
    )
