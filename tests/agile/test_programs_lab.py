"""Pulumi programs on the real engine, with a provider plugin of the tests' own and objects on a real API server."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Present, Unreachable
from orchestrator.model.outcome import Result
from orchestrator.model.values import masked
from tests.agile.estates import CANARY
from tests.agile.program_lab import MAIN, NAMESPACE, Lab

pytestmark = pytest.mark.lab


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
    lab.kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=60s")


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
    lab.write("import pulumi\n\npulumi.Config().require('colour')\n")
    unset = "`colour` is not configured: give it in the workload's `vars`"
    assert failed(lab) == f"blueprints/shop/infra/__main__.py:3: {unset}"
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
    lab.timeout = 8
    assert failed(lab) == (
        "blueprints/shop/infra: did not end within 8 s and was ended; it printed last: going to sleep; "
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


def test_drift_inside_of_a_program_is_found_by_a_refresh_and_healed_after_one(lab: Lab) -> None:
    lab.converge()
    assert lab.drift() == {}
    lab.kubectl("-n", NAMESPACE, "patch", "configmap", "settings", "-p", '{"data":{"twice":"7"}}')
    (thing,) = lab.things.glob("a-*")
    thing.write_text(json.dumps({**json.loads(thing.read_text()), "size": 5, "password": f"{CANARY}-2"}))
    (other,) = lab.things.glob("b-*")
    other.unlink()
    assert lab.drift() == {  # from what it is to what it was left as
        "echo:Thing a: password": ("(secret)", "(secret)"),
        "echo:Thing a: size": (5, 1),
        "echo:Thing b: was deleted outside": (None, None),
        "kubernetes:ConfigMap settings: data.twice": ("7", "2"),
    }
    assert lab.plan().action == Action.NONE  # no plan asks the providers by itself
    one = lab.unit()
    assert lab.driver.hand_over(one.address, one, ("refresh", "--yes", "--skip-preview")) == 0
    found = lab.plan()
    assert "its stack was changed by hand" in found.reason
    assert {"echo:Thing a: size", "echo:Thing b"} <= {d.path for d in found.differences}
    lab.converge()
    assert lab.live == [1, 2]
    assert lab.drift() == {}
    assert lab.kubectl("-n", NAMESPACE, "get", "configmap", "settings", "-o", "jsonpath={.data.twice}") == "2"
    blind = lab.clone(lab.root.parent / "blind", environment={"PATH": "/nowhere", "ECHO_FOLDER": str(lab.things)})
    told = blind.driver.drift([one])[one.address]
    assert told.differences == ()
    assert "pulumi-resource-echo" in told.failed
    blind.driver.close()
