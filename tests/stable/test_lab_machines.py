"""Machines made by the lab's provider, and configurations on them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.machine_providers import machine_provider
from orchestrator.model.address import Address, Mode
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Absent, Observed, Present, Unreachable
from orchestrator.model.outcome import Outcome, Result
from orchestrator.model.record import Record
from orchestrator.model.source import Source
from orchestrator.model.unit import Unit
from orchestrator.modes.stable.driver import StableDriver
from orchestrator.modes.stable.reach.reaching import Reach
from orchestrator.modes.stable.site import StableSite

pytestmark = pytest.mark.lab


def lab(verb: str, request: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.lab.machines", verb],
        input=request,
        text=True,
        capture_output=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def lab_estate(estate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("ORCHESTRATOR_LAB_HOME", str(tmp_path / "lab"))
    try:
        lab("ensure", '{"machines": [{"name": "probe", "spec": {}, "tags": {}}]}')
        lab("remove", '{"names": ["probe"]}')
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no lab machine can be made here: {error.stderr}")
    estate.write(
        "play.yaml",
        "- hosts: db\n  gather_facts: false\n  tasks: [{ansible.builtin.copy: {content: x, dest: /etc/x}}]\n",
    )
    yield estate
    names = [f'"here-shop-db-{i}"' for i in range(2)] + ['"here-shop-old-0"']
    lab("remove", f'{{"names": [{", ".join(names)}]}}')


def driver_of(estate: Any) -> StableDriver:
    reach = Reach(estate.root, estate.scrub)
    provider, _ = machine_provider(estate.root, "lab", {})
    site = StableSite(
        "here", "11111111-2222-3333-4444-555555555555", "test", estate.root, estate.scratch, provider, estate.scrub
    )
    driver = StableDriver(site, reach)
    estate.reaches.append(reach)
    estate.drivers.append(driver)
    return driver


def machine(index: int = 0, **inputs: Any) -> Unit:
    name = f"here-shop-db-{index}"
    given = {"cpu": 2, "image": "debian-12", **inputs}
    address = Address("here", "shop", Mode.STABLE, "db", "machine", f"db-{index}")
    return Unit(address, {"name": name, **given}, given, f"machine:{name}", Source("bp/blueprint.yaml", 1))


def configuration(estate: Any, index: int = 0) -> Unit:
    made: Unit = estate.unit(f"here-shop-db-{index}")
    return made


def changes(units: list[Unit], seen: Observed, action: Action) -> list[Change]:
    return [Change(u.address, action, "for a test", unit=u, seen=seen.units[u.address]) for u in units]


def go(driver: StableDriver, todo: list[Change]) -> list[Outcome]:
    outcomes = list(driver.apply(todo, lambda progress: None))
    assert all(o.result == Result.DONE for o in outcomes), outcomes
    return outcomes


def records(units: list[Unit], outcomes: list[Outcome]) -> list[Record]:
    facts = {o.address: o.facts for o in outcomes}
    return [
        Record(u.address, "", u.identity, facts=facts.get(u.address, {}), spec={"host": u.spec.get("host")})
        for u in units
    ]


def test_machines_are_made_configured_seen_without_ansible_and_removed(lab_estate: Any) -> None:
    driver = driver_of(lab_estate)
    machines, configurations = [machine(0), machine(1)], [configuration(lab_estate, i) for i in (0, 1)]
    seen = driver.observe([*machines, *configurations], [])
    assert all(isinstance(found, Absent) for found in seen.units.values())
    # They are made side by side, and told as each is done.
    made = sorted(go(driver, changes(machines, seen, Action.CREATE)), key=lambda outcome: str(outcome.address))
    assert all(str(o.facts["address"]).startswith("127.") for o in made)
    known = records(machines, made)
    seen = driver.observe([*machines, *configurations], known)
    assert isinstance(seen.units[configurations[0].address], Absent)
    go(driver, changes(configurations, seen, Action.CREATE))
    known += records(configurations, [])

    again = driver_of(lab_estate).observe([*machines, *configurations], known)
    assert (again.tally.ansible_runs, again.tally.requests) == (0, 2)
    for unit in [*machines, *configurations]:
        found = again.units[unit.address]
        assert isinstance(found, Present)
        assert found.stamp is not None
        assert found.stamp.digest == unit.digest("")
        assert (found.ready, found.differences) == (True, ())
    assert again.units[machines[0].address].facts["address"] == made[0].facts["address"]  # type: ignore[union-attr]

    lost = driver_of(lab_estate).observe([*machines, *configurations], [])
    assert all(isinstance(found, Present) and found.stamp for found in lost.units.values()), (
        "another clone sees the same"
    )
    shutil.rmtree(lab_estate.scratch)
    left = driver_of(lab_estate).observe([], [])
    assert set(left.units) == {u.address for u in [*machines, *configurations]}, "what is ours is found without records"
    removals = [Change(u.address, Action.DELETE, "for a test", seen=left.units[u.address]) for u in machines]
    go(driver, removals)
    gone = driver_of(lab_estate).observe(machines, known)
    assert all(isinstance(found, Absent) for found in gone.units.values())


def test_a_dead_machine_is_not_ready_and_is_started_again(lab_estate: Any) -> None:
    driver, unit, settings = driver_of(lab_estate), machine(0), configuration(lab_estate, 0)
    seen = driver.observe([unit, settings], [])
    made = go(driver, changes([unit], seen, Action.CREATE))
    go(driver, changes([settings], driver.observe([unit, settings], records([unit], made)), Action.CREATE))
    folder = next((Path(lab_estate.root) / "lab" / "machines").iterdir())
    os.kill(json.loads((folder / "machine.json").read_text())["init"]["pid"], signal.SIGKILL)
    known = records([unit, settings], made)
    seen = driver_of(lab_estate).observe([unit, settings], known)
    found = seen.units[unit.address]
    assert isinstance(found, Present)
    assert (found.ready, found.because) == (False, "the machine is dead")
    assert isinstance(seen.units[settings.address], Unreachable)
    driver = driver_of(lab_estate)
    go(driver, changes([unit], driver.observe([unit, settings], known), Action.WAIT))
    after = driver.observe([unit, settings], known)
    assert isinstance(after.units[settings.address], Present), "its files are still there"


def test_a_changed_image_forces_a_new_machine(lab_estate: Any) -> None:
    driver, old, new = driver_of(lab_estate), machine(0), machine(0, image="debian-13", cpu=4)
    made = go(driver, changes([old], driver.observe([old], []), Action.CREATE))
    settings = configuration(lab_estate, 0)
    go(driver, changes([settings], driver.observe([new, settings], records([old], made)), Action.CREATE))
    seen = driver.observe([new, settings], records([old], made))
    found = seen.units[new.address]
    assert isinstance(found, Present)
    assert [(d.path, d.replace) for d in found.differences] == [("cpu", False), ("image", True)]
    outcomes = go(driver, changes([new], seen, Action.REPLACE))
    after = driver.observe([new, settings], records([new], outcomes))
    assert isinstance(after.units[settings.address], Absent), "a new disk"


def test_a_machine_that_another_estate_made_is_not_removed(lab_estate: Any) -> None:
    lab("ensure", '{"machines": [{"name": "here-shop-db-0", "spec": {}, "tags": {}}]}')
    driver, unit = driver_of(lab_estate), machine(0)
    seen = driver.observe([unit], [])
    assert seen.units[unit.address].stamp is None  # type: ignore[union-attr]
    (outcome,) = driver.apply(
        [Change(unit.address, Action.DELETE, "for a test", record=Record(unit.address, "", unit.identity))],
        lambda p: None,
    )
    assert outcome.result == Result.FAILED
    assert "here-shop-db-0 bears no stamp" in outcome.message


def test_a_machine_that_was_let_go_of_is_nobodys(lab_estate: Any) -> None:
    driver, unit = driver_of(lab_estate), machine(0)
    made = go(driver, changes([unit], driver.observe([unit], []), Action.CREATE))
    (record,) = records([unit], made)
    seen = driver.observe([], [record])
    go(driver, [Change(unit.address, Action.FORGET, "for a test", seen=seen.units[unit.address], record=record)])
    shutil.rmtree(lab_estate.scratch)
    assert driver_of(lab_estate).observe([], []).units == {}
    assert '"here-shop-db-0"' in lab("observe", "{}")
