"""One Pulumi program at one site, as a person changes it, for tests on the real engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.model.address import PROGRAM, Address, Mode, WorkloadKey
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Observation
from orchestrator.model.outcome import Outcome, Progress, Result
from orchestrator.model.source import Source
from orchestrator.model.unit import Unit
from orchestrator.model.values import Secret, Value, masked
from orchestrator.modes.agile.driver import AgileDriver
from orchestrator.planning.diff import change_for
from tests.agile.estates import CANARY

NAMESPACE = "prog"
MAIN = """
import pulumi

config = pulumi.Config()


class Thing(pulumi.CustomResource):
    twice: pulumi.Output[int]
    shout: pulumi.Output[str]

    def __init__(self, name, opts=None, **properties):
        super().__init__("echo:index:Thing", name, {**properties, "twice": None, "shout": None}, opts)


a = Thing("a", size=config.require_int("size"), label=config.require("label"), password=config.get_secret("password"))
b = Thing("b", size=a.twice)
settings = {"metadata": {"name": "settings"}, "data": {"twice": a.twice.apply(str)}}
pulumi.CustomResource("kubernetes:core/v1:ConfigMap", "settings", settings)
pulumi.export("twice", b.twice)
pulumi.export("token", config.get_secret("password"))
"""
OUTPUTS = {"twice": "integer", "token": "secret"}


class States:
    """The store's part, in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[int, bytes, Mapping[str, Any]]]] = {}

    def save_state(self, key: WorkloadKey, serial: int, packed: bytes, about: Mapping[str, Any]) -> None:
        self.rows.setdefault(str(key), []).append((serial, packed, about))

    def newest_state(self, key: WorkloadKey) -> tuple[int, bytes, Mapping[str, Any]] | None:
        return (self.rows.get(str(key)) or [None])[-1]


@dataclass
class Lab:
    """One program at one site, as a person changes it."""

    root: Path
    things: Path
    driver: AgileDriver
    states: States
    kubectl: Callable[..., str]
    vars: dict[str, Value] = field(default_factory=lambda: {"size": 1, "label": "x", "password": Secret(CANARY)})
    outputs: dict[str, str] = field(default_factory=lambda: dict(OUTPUTS))
    timeout: float = 60
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.root.exists():
            self.write(MAIN)

    def write(self, text: str, name: str = "__main__.py") -> None:
        path = self.root / "infra" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def unit(self) -> Unit:
        folder = self.root / "infra"
        files = {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        return Unit(
            address=Address("lab", "shop", Mode.AGILE, "infra", PROGRAM, f"{NAMESPACE}/infra"),
            spec={
                "root": str(self.root),
                "path": "infra",
                "files": dict(files),
                "vars": self.vars,
                "outputs": dict(self.outputs),
                "project": "infra",
                "namespace": NAMESPACE,
                "timeout": self.timeout,
                "where": "blueprints/shop/infra",
            },
            inputs={**{f"infra/{n}": d for n, d in files.items()}, **{f"vars.{k}": v for k, v in self.vars.items()}},
            identity=f"program/{NAMESPACE}/infra",
            source=Source("blueprints/shop/blueprint.yaml", 9, 5),
        )

    def see(self) -> Observation:
        one = self.unit()
        return self.driver.observe([one], []).units[one.address]

    def plan(self) -> Change:
        one = self.unit()
        return change_for(one, self.see(), None, estate_id=self.driver._site.estate_id)

    def do(self, change: Change) -> Outcome:
        def report(progress: Progress) -> None:
            self.told.append(progress.text)

        (outcome,) = self.driver.apply([change], report)
        return outcome

    def apply(self) -> Outcome:
        return self.do(self.plan())

    def converge(self) -> Outcome:
        outcome = self.apply()
        assert outcome.result == Result.DONE, outcome
        assert self.plan().action == Action.NONE, self.plan()
        return outcome

    def drift(self) -> dict[str, tuple[Any, Any]]:
        """What is there and what was left, by the property."""
        one = self.unit()
        found = self.driver.drift([one])[one.address]
        assert not found.failed, found
        return {d.path: (masked(d.old), masked(d.new)) for d in found.differences}

    def clone(self, scratch: Path, **more: Any) -> Lab:
        """The same estate with nothing in common but the cluster and the documents."""
        states = more.pop("states", States())
        site = replace(self.driver._site, scratch=scratch, states=states, **more)
        return replace(self, driver=AgileDriver(site), states=states, vars=dict(self.vars))

    @property
    def live(self) -> list[str]:
        return sorted(json.loads(path.read_text())["size"] for path in self.things.glob("*-*"))
