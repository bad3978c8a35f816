"""A small planner for the driver's tests: observe, decide as the real one would for simple cases, apply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from orchestrator.model.address import Address, Mode
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Absent, Observation, Observed, Present, Unreachable
from orchestrator.model.outcome import Lease, Outcome, Progress, Result
from orchestrator.model.source import Source
from orchestrator.model.unit import Unit
from orchestrator.modes.agile.driver import AgileDriver
from orchestrator.modes.agile.objects import kind_of, name_of
from orchestrator.planning.diff import change_for

CANARY = "canary-7be1d2c4f0"

NO_LEASE = Lease("lab", "nobody", 0, 0, 0.0, 0.0)


def unit(
    manifest: Mapping[str, Any],
    *,
    workload: str = "web",
    placement: str = "shop",
    namespace: str = "",
    timeout: float = 20,
    **spec: Any,
) -> Unit:
    """The unit of one manifest; `spec` has what else a workload says of it (`contested`, `ignore`, `ready`)."""
    metadata = manifest["metadata"]
    kind = kind_of(manifest["apiVersion"], manifest["kind"])
    name = name_of(manifest)
    return Unit(
        address=Address("lab", placement, Mode.AGILE, workload, kind, name),
        spec={
            "object": dict(manifest),
            "timeout": timeout,
            "namespace": namespace or metadata.get("namespace") or "default",
            "where": f"web.yaml:{len(name)}",
            **spec,
        },
        inputs={"object": dict(manifest)},
        identity=f"{kind}/{name}",
        source=Source("web.yaml", 1, 1),
    )


def manifests(text: str) -> list[dict[str, Any]]:
    """The documents of a YAML text."""
    return [one for one in yaml.safe_load_all(text) if one]


@dataclass
class Estate:
    """One estate at one site, as the tests change it."""

    driver: AgileDriver
    kubectl: Callable[..., str]
    told: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.driver._site.estate_id

    @property
    def scratch(self) -> Path:
        return self.driver._site.scratch

    def field(self, namespace: str, what: str, path: str) -> str:
        """A field of a live object, as kubectl prints it."""
        return self.kubectl("-n", namespace, "get", what, "-o", f"jsonpath={path}")

    def observe(self, units: list[Unit]) -> Observed:
        return self.driver.observe(units, [])

    def plan(self, units: list[Unit]) -> dict[str, Change]:
        """What is to be done, by identity; deletions of what no unit asked for included."""
        observed = self.observe(units).units
        changes = [self._change(one, observed[one.address]) for one in units]
        asked = {one.address for one in units}
        for address, seen in observed.items():
            if address not in asked:
                changes.append(Change(address, Action.DELETE, "removed", seen=seen))
        return {f"{c.address.kind}/{c.address.name}": c for c in changes if c.action != Action.NONE}

    def _change(self, one: Unit, seen: Observation) -> Change:
        def change(action: Action, reason: str = "", **more: Any) -> Change:
            return Change(one.address, action, reason, unit=one, seen=seen, **more)

        match seen:
            case Unreachable():
                return change(Action.HOLD, seen.why)
            case Absent():
                return change(Action.CREATE)
            case Present(stamp=None):
                return change(Action.CONFLICT, differences=seen.differences)
            case Present() if any(d.replace for d in seen.differences):
                return change(Action.REPLACE, differences=seen.differences)
            case Present(stamp=stamp) if (
                any(not d.kept for d in seen.differences)
                or stamp.digest != one.digest(stamp.salt)
                or stamp.address != one.address
            ):
                return change(Action.UPDATE, differences=seen.differences)
            case Present(ready=False):
                return change(Action.WAIT, seen.because)
        return change(Action.NONE)

    def judge(self, one: Unit) -> Change:
        """What the real planner makes of one unit."""
        return change_for(one, self.observe([one]).units[one.address], None, estate_id=self.id)

    def actions(self, units: list[Unit]) -> dict[str, str]:
        return {name: str(change.action) for name, change in self.plan(units).items()}

    def apply(self, units: list[Unit], *, adopt: bool = False) -> dict[str, Outcome]:
        """Make all changes, one workload after the other; outcomes by identity."""
        planned = list(self.plan(units).values())
        if adopt:
            planned = [replace(c, action=Action.ADOPT) if c.action == Action.CONFLICT else c for c in planned]
        outcomes: dict[str, Outcome] = {}
        for key in sorted({c.address.workload_key for c in planned}, key=str):
            outcomes |= self.do([c for c in planned if c.address.workload_key == key])
        self.driver.release(NO_LEASE)  # as at the end of a run: what was begun to be removed is gone then
        return outcomes

    def do(self, changes: list[Change]) -> dict[str, Outcome]:
        def report(progress: Progress) -> None:
            self.told.append(progress.text)

        return {f"{o.address.kind}/{o.address.name}": o for o in self.driver.apply(changes, report)}

    def converge(self, units: list[Unit]) -> None:
        """Apply, and be sure that all went well and nothing is left to do."""
        outcomes = self.apply(units)
        assert {o.result for o in outcomes.values()} <= {Result.DONE}, outcomes
        left = self.plan(units)
        assert not left, {name: (c.action, c.reason, c.differences) for name, c in left.items()}
