"""Pulumi programs on the real engine, with a provider plugin of the tests' own and objects on a real API server."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.address import PROGRAM, Address, Mode, WorkloadKey
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Observation, Present, Unreachable
from orchestrator.model.outcome import Outcome, Progress, Result
from orchestrator.model.source import Source
from orchestrator.model.unit import Unit
from orchestrator.model.values import Secret, Value, masked
from orchestrator.modes.agile.driver import AgileDriver
from orchestrator.planning.diff import change_for
from tests.agile.conftest import made
from tests.agile.estates import CANARY

pytestmark = pytest.mark.lab

PLUGIN = Path(__file__).parent / "plugin" / "pulumi-resource-echo"
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

    def clone(self, scratch: Path, **more: Any) -> Lab:
        """The same estate with nothing in common but the cluster and the documents."""
        states = more.pop("states", States())
        site = replace(self.driver._site, scratch=scratch, states=states, **more)
        return replace(self, driver=AgileDriver(site), states=states, vars=dict(self.vars))

    @property
    def live(self) -> list[str]:
        return sorted(json.loads(path.read_text())["size"] for path in self.things.glob("*-*"))


@pytest.fixture
def lab(lab_kubeconfig: Path, tmp_path: Path, kubectl: Callable[..., str], estate_id: str) -> Iterator[Lab]:
    programs = tmp_path / "bin"
    programs.mkdir()
    plugin = programs / PLUGIN.name
    plugin.write_text(f'#!/bin/sh\nexec {sys.executable} {PLUGIN} "$@"\n')
    plugin.chmod(0o755)
    things = tmp_path / "things"
    things.mkdir()
    driver = made(lab_kubeconfig, tmp_path / "scratch", estate_id)
    states = States()
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "ECHO_FOLDER": str(things)}
    driver = AgileDriver(replace(driver._site, environment=environment, states=states))
    it = Lab(tmp_path / "blueprint", things, driver, states, kubectl)
    it.write(MAIN)
    yield it
    it.driver.close()
    kubectl("delete", "--ignore-not-found", "namespace", NAMESPACE)  # the next test makes it anew


@pytest.fixture
def estate_id() -> str:
    import uuid

    return str(uuid.uuid4())


def test_a_program_is_previewed_applied_left_alone_changed_and_destroyed(lab: Lab, tmp_path: Path) -> None:
    created = lab.plan()
    assert created.action == Action.CREATE
    paths = {d.path: masked(d.new) for d in created.differences}
    assert paths["echo:Thing a"] == {"size": 1, "label": "x", "password": "(secret)"}
    assert set(paths) == {"echo:Thing a", "echo:Thing b", "kubernetes:ConfigMap settings"}
    assert lab.live == []
    outcome = lab.do(created)
    assert outcome.result == Result.DONE, outcome
    assert outcome.facts["outputs"]["twice"] == 4
    assert outcome.facts["outputs"]["token"].reveal() == CANARY
    assert lab.live == [1, 2]
    runs = lab.driver.spent().pulumi_runs
    seen = lab.see()
    assert isinstance(seen, Present)
    assert seen.facts["outputs"]["token"].reveal() == CANARY
    assert lab.plan().action == Action.NONE
    assert lab.driver.spent().pulumi_runs == runs  # nothing is started where nothing has changed
    assert CANARY not in json.dumps([[r[0], r[1].hex(), r[2]] for rows in lab.states.rows.values() for r in rows])
    lab.vars |= {"size": 5, "label": "y"}
    changed = lab.plan()
    assert changed.action == Action.REPLACE
    assert {(d.path, d.old, d.new, d.replace) for d in changed.differences if "Thing a" in d.path} == {
        ("echo:Thing a: label", "x", "y", True),
        ("echo:Thing a: size", 1, 5, False),
    }
    assert CANARY not in repr(changed)
    assert lab.do(changed).result == Result.DONE
    assert lab.live == [5, 10]
    gone = Change(lab.unit().address, Action.DELETE, "removed", seen=lab.see())
    outcome = lab.do(gone)
    assert outcome.result == Result.DONE, outcome
    assert lab.live == []
    assert lab.driver.observe([], []).units == {}
    assert NAMESPACE not in lab.kubectl("get", "namespaces", "-o", "name")


def failed(lab: Lab) -> str:
    """Why a program cannot be previewed."""
    seen = lab.see()
    assert isinstance(seen, Unreachable), seen
    assert seen.what == "preview failed"
    assert lab.live == []
    return seen.why


def test_what_is_wrong_with_a_program_is_told_with_its_place_and_what_to_do(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEUE_REGION", "mars")
    lab.write(MAIN + "import helper\n")
    lab.write("import os\n\ndef region():\n    return os.environ['QUEUE_REGION']\n\nregion()\n", "helper.py")
    why = failed(lab)
    assert why.startswith("blueprints/shop/infra/helper.py:4: KeyError: 'QUEUE_REGION'")
    assert "site lab does not allow; in the Site: `agile.programs.environment: [QUEUE_REGION]`" in why
    assert "mars" not in why
    lab.write('raise RuntimeError(f\'the password is {__import__("pulumi").Config().require("password")}\')\n')
    assert failed(lab) == "blueprints/shop/infra/__main__.py:1: RuntimeError: the password is (secret)"
    lab.write("import pulumi\npulumi.export('token' 1)\n")
    assert failed(lab).startswith("blueprints/shop/infra/__main__.py:2: ")
    lab.write(MAIN + "pulumi.export('more', 1)\n")
    assert "it exports `more`, which is not declared" in failed(lab)
    lab.write(MAIN.replace("Output[int]", "Output[str]").replace("b.twice", "b.twice.apply(str)"))
    assert "it exports `twice` as a string, declared is an integer" in failed(lab)
    lab.write("import pulumi\npulumi.CustomResource('nowhere:index:Thing', 'x')\n")
    lab.outputs = {}
    assert "put pulumi-resource-nowhere on PATH, or: orchestrator toolchain install pulumi-resource-" in failed(lab)
    lab.write("import sys, os\nprint('on my way')\nos._exit(3)\n")
    assert "ended with 3 before the program did: on my way" in failed(lab)
    lab.write("print('going to sleep')\nimport time\ntime.sleep(3600)\n")
    lab.timeout = 4
    assert failed(lab) == (
        "blueprints/shop/infra: did not end within 4 s and was ended; it printed last: going to sleep; "
        "raise `timeout` if it needs longer"
    )


def test_an_update_that_fails_keeps_what_it_has_made_and_is_gone_on_with(lab: Lab, tmp_path: Path) -> None:
    lab.vars |= {"size": 13}
    failing = MAIN.replace("b = Thing", 'c = Thing("a2", size=1)\nb = Thing')
    lab.write(failing)
    outcome = lab.apply()
    assert outcome.result == Result.FAILED
    assert "echo:Thing a" in outcome.message
    assert "13 is an unlucky size" in outcome.message
    again = lab.plan()
    assert again.action == Action.UPDATE
    assert "unfinished: its last run did not end well" in again.reason
    lab.vars |= {"size": 3}
    lab.converge()
    assert lab.live == [1, 3, 6]
    other = lab.clone(tmp_path / "elsewhere")  # nothing but the cluster and the documents
    assert other.plan().action == Action.NONE
    other.vars |= {"size": 4}
    assert [(d.path, d.old, d.new) for d in other.plan().differences if "Thing a:" in d.path] == [
        ("echo:Thing a: size", 3, 4)
    ]
    other.driver.close()
    lost = lab.clone(tmp_path / "lost", states=lab.states)
    lab.kubectl("-n", NAMESPACE, "delete", "secret", "orchestrator.lab.shop.infra")
    found = lost.plan()  # the store has it: nothing is made twice
    assert "its state on the cluster is gone" in found.reason
    assert found.differences == ()
    assert lost.do(found).result == Result.DONE
    assert lost.live == [1, 3, 6]
    stranger = lab.clone(tmp_path / "stranger", passphrase=lambda: "wrong")
    seen = stranger.see()
    assert isinstance(seen, Unreachable)
    assert "another passphrase" in seen.why
    stranger.driver.close()
    lost.driver.close()


_CHILD = """
import pickle, sys
sys.path[:0] = sys.argv[2:]
from orchestrator.modes.agile.driver import AgileDriver
site, change = pickle.load(open(sys.argv[1], "rb"))
from dataclasses import replace
from orchestrator import toolchain
site = replace(site, pulumi=lambda: toolchain.find("pulumi"), passphrase=lambda: "correct horse", scrub=str)
list(AgileDriver(site).apply([change], lambda progress: None))
"""


def test_killed_in_the_middle_the_next_run_takes_over_the_engines_own_state(lab: Lab, tmp_path: Path) -> None:
    lab.write(MAIN.replace('b = Thing("b", ', 'b = Thing("slow", slow=config.get_int("slow") or 0, '))
    lab.vars |= {"slow": 60}
    change = lab.plan()
    site = replace(lab.driver._site, pulumi=None, passphrase=None, scrub=None, states=None)
    (tmp_path / "work").write_bytes(pickle.dumps((site, change)))
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(tmp_path / "work"), str(Path(__file__).parents[2])])
    end = time.monotonic() + 120
    while not (lab.things / "waiting").exists():
        assert time.monotonic() < end
        assert child.poll() is None
        time.sleep(0.05)
    child.kill()
    child.wait()
    assert lab.live == [1]
    lab.vars |= {"slow": 0}
    found = lab.plan()
    assert found.action == Action.UPDATE
    assert "nobody knows the end of: creating echo:Thing slow" in found.reason
    assert "echo:Thing a" not in {d.path for d in found.differences}  # it is there, and known
    assert lab.do(found).result == Result.DONE
    assert any("creating echo:Thing slow" in text for text in lab.told)
    assert lab.plan().action == Action.NONE
    assert lab.live == [1, 2]


OBJECTS = """
import pulumi

size = pulumi.Config().require_int("size")
app = {"app": f"web-{pulumi.Config().require('label')}"}
spec = {
    "replicas": size,
    "selector": {"matchLabels": app},
    "template": {"metadata": {"labels": app}, "spec": {"containers": [{"name": "web", "image": "nginx:1.29"}]}},
}
web = pulumi.CustomResource("kubernetes:apps/v1:Deployment", "web", {"metadata": {"name": "web"}, "spec": spec})
secret = {"stringData": {"password": pulumi.Config().require_secret("password")}}
made = pulumi.CustomResource("kubernetes:core/v1:Secret", "db", {**secret, "metadata": None})
theirs = pulumi.Config().get("theirs")
if theirs:
    pulumi.CustomResource("kubernetes:core/v1:ConfigMap", theirs, {"metadata": {"name": theirs}, "data": {"a": "1"}})
pulumi.export("id", made.id)
"""


@pytest.mark.long
def test_kubernetes_objects_of_a_program_are_served_in_our_process(lab: Lab) -> None:
    lab.write(OBJECTS)
    lab.outputs = {"id": "string"}
    outcome = lab.converge()
    name = outcome.facts["outputs"]["id"]
    assert name.startswith(f"{NAMESPACE}/db-")  # its name is made for it
    assert lab.kubectl("-n", NAMESPACE, "get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}") == "1"
    labels = json.loads(lab.kubectl("-n", NAMESPACE, "get", "deployment", "web", "-o", "jsonpath={.metadata.labels}"))
    assert labels["orchestrator.dev/workload"] == "infra"
    assert CANARY.encode().hex() not in json.dumps([r[1].hex() for rows in lab.states.rows.values() for r in rows])
    lab.vars |= {"size": 2, "label": "y"}
    changed = lab.plan()
    assert changed.action == Action.REPLACE
    assert {d.path for d in changed.differences if d.replace} == {
        "kubernetes:Deployment web: spec.selector.matchLabels.app"
    }
    assert lab.do(changed).result == Result.DONE
    lab.kubectl("-n", NAMESPACE, "create", "configmap", "theirs", "--from-literal=a=0")
    lab.vars |= {"theirs": "theirs"}
    outcome = lab.apply()
    assert outcome.result == Result.FAILED
    assert "exists and is not this program's" in outcome.message
    assert lab.kubectl("-n", NAMESPACE, "get", "configmap", "theirs", "-o", "jsonpath={.data.a}") == "0"
    gone = Change(lab.unit().address, Action.DELETE, "removed", seen=lab.see())
    assert lab.do(gone).result == Result.DONE
    assert lab.kubectl("-n", NAMESPACE, "get", "deployments,secrets", "-o", "name") == ""
    assert "theirs" in lab.kubectl("-n", NAMESPACE, "get", "configmaps", "-o", "name")
