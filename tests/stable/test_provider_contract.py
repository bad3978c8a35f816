"""What every machine provider has to do, tried on each that can be had here."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from orchestrator.model.change import Action
from orchestrator.model.observation import Absent, Observed, Present
from orchestrator.model.outcome import Outcome, Result
from tests.stable.benches import (
    Bench,
    Ec2Bench,
    VsphereBench,
    changes,
    go,
    records,
)

pytestmark = pytest.mark.lab
LONG = pytest.mark.long
LIBVIRT = pytest.param("libvirt", marks=pytest.mark.libvirt)
LIFE = pytest.mark.parametrize("bench", ["lab", "ec2", "vsphere", LIBVIRT], indirect=True)
# The lab makes a machine in a moment: nothing holds it in the middle.
CUT = pytest.mark.parametrize("bench", ["ec2", "vsphere", LIBVIRT], indirect=True)


@LIFE
def test_a_machines_life(bench: Bench) -> None:
    """Made with others in one run, seen without one, resized as the provider can, put right, removed."""
    driver, one, other = bench.driver(), bench.machine("db-0", labels={"tier": "gold"}), bench.machine("web-0")
    seen = driver.observe([one, other], [])
    assert all(isinstance(found, Absent) for found in seen.units.values()), seen

    # two workloads, two threads, as the engine does it: one run; what fails for a machine fails for it alone
    bad = [bench.machine(f"bad-{index}", **inputs) for index, (inputs, _) in enumerate(bench.bad)]
    before, outcomes = driver.spent().ansible_runs, {}
    absent = Observed(dict.fromkeys([u.address for u in (one, other, *bad)], Absent()))
    threads = [
        threading.Thread(target=lambda units=units: outcomes.update(go(driver, changes(units, absent, Action.CREATE))))
        for units in ([one], [other, *bad])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, (_, says) in enumerate(bench.bad):
        refused = outcomes.pop(f"bad-{index}")
        assert (refused.result, says in refused.message) == (Result.FAILED, True), refused.message
    assert not [o.message for o in outcomes.values() if o.result != Result.DONE], [
        print(o.log) for o in outcomes.values()
    ]
    assert driver.spent().ansible_runs - before == 1
    known = records([one, other], outcomes)

    again = bench.driver().observe([one, other], known)
    assert (again.tally.ansible_runs, again.tally.requests) == (0, 2), "hosts that answer are enough"
    lost = bench.driver(refresh=True).observe([one, other], [])
    for seen in (again, lost):
        for unit in (one, other):
            found = seen.units[unit.address]
            assert isinstance(found, Present), found
            assert found.stamp is not None
            assert (found.stamp.digest, found.ready, found.differences) == (unit.digest(""), True, ())

    larger = bench.machine("db-0", **bench.large)
    driver = bench.driver()
    seen = driver.observe([larger], known)
    differences = seen.units[larger.address].differences  # type: ignore[union-attr]
    assert {d.path for d in differences} == {*bench.large, "labels"}
    assert {(d.replace, d.restart) for d in differences if d.path != "labels"} == {(False, bench.resizes == "restart")}
    outcomes = go(driver, changes([larger], seen, Action.UPDATE))
    assert outcomes["db-0"].result == Result.DONE, outcomes

    bench.resize_outside("here-shop-db-0")
    driver = bench.driver(refresh=True)
    seen = driver.observe([larger], known)
    (difference, *_) = seen.units[larger.address].differences  # type: ignore[union-attr]
    assert (difference.path, difference.new, difference.replace) == ("cpu", 4, False)
    assert go(driver, changes([larger], seen, Action.UPDATE))["db-0"].result == Result.DONE
    seen = bench.driver(refresh=True).observe([larger], known)
    assert seen.units[larger.address].differences == ()  # type: ignore[union-attr]

    driver = bench.driver()
    seen = driver.observe([larger, other], known)
    assert {o.result for o in go(driver, changes([larger, other], seen, Action.DELETE)).values()} == {Result.DONE}
    assert bench.names() == []
    bench.bury()
    gone = bench.driver().observe([larger, other], known)
    assert all(isinstance(found, Absent) for found in gone.units.values()), gone


@LIFE
def test_a_machine_that_is_not_ours_is_left_alone_until_it_is_adopted(bench: Bench) -> None:
    bench.make_foreign("here-shop-db-0")
    unit, other = bench.machine("db-0"), bench.machine("db-1")
    driver = bench.driver()
    seen = driver.observe([unit, other], [])
    found = seen.units[unit.address]
    assert isinstance(found, Present)
    assert found.stamp is None, "a conflict, which the plan tells"
    # made between the plan and the run: refused, and the rest goes on
    (outcome,) = go(driver, changes([unit], seen, Action.CREATE)).values()
    assert outcome.result == Result.FAILED
    assert "not ours" in outcome.message
    assert bench.names() == ["here-shop-db-0"]
    (outcome,) = go(driver, changes([unit], seen, Action.ADOPT)).values()
    assert outcome.result == Result.DONE, outcome
    assert bench.names() == ["here-shop-db-0"]
    adopted = bench.driver(refresh=True).observe([unit], []).units[unit.address]
    assert isinstance(adopted, Present)
    assert adopted.stamp is not None
    assert adopted.differences == ()
    driver = bench.driver()
    (outcome,) = go(driver, changes([unit], driver.observe([unit], []), Action.FORGET)).values()
    assert outcome.result == Result.DONE, outcome
    seen = bench.driver(refresh=True).observe([unit], [])
    assert seen.units[unit.address].stamp is None  # type: ignore[union-attr]


@CUT
def test_a_machine_whose_making_was_cut_is_found_again_and_never_made_twice(bench: Bench) -> None:
    unit, outcomes = bench.machine("db-0"), dict[str, Outcome]()
    driver = bench.driver()
    todo = changes([unit], driver.observe([unit], []), Action.CREATE)
    making = threading.Thread(target=lambda: outcomes.update(go(driver, todo)))
    with bench.held():
        making.start()
        deadline = time.monotonic() + 120
        while not bench.begun() and time.monotonic() < deadline:
            time.sleep(0.02)
        driver.close()  # kills ansible-playbook and all that it has started
        making.join()
    assert outcomes["db-0"].result != Result.DONE, "it was cut"

    driver = bench.driver()
    seen = driver.observe([unit], [])
    found = seen.units[unit.address]
    assert isinstance(found, Present), found
    assert found.stamp is not None
    assert (found.stamp.digest, found.ready) == (unit.digest(""), False), "ours, and not finished"
    (outcome,) = go(driver, changes([unit], seen, Action.WAIT)).values()
    assert outcome.result == Result.DONE, outcome.message
    assert bench.names() == ["here-shop-db-0"]


@LONG
@pytest.mark.parametrize("bench", ["ec2"], indirect=True)
def test_a_kept_disk_goes_to_the_next_machine_and_nobody_elses_volume_does(bench: Ec2Bench) -> None:
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": "here-shop-db-0-data"}]}]
    volume = {"AvailabilityZone": "eu-central-1a", "Size": 1, "TagSpecifications": tags}
    foreign = bench.call("create_volume", **volume)["VolumeId"]
    (subnet, *_) = bench.call("describe_subnets")["Subnets"]
    bench.settings = {**bench.settings, "networks": {"front": subnet["SubnetId"]}}
    inputs = {"disks": {"data": {"size": "1Gi", "keep": True}}, "networks": ["front"]}
    bench.small = bench.large
    unit = bench.machine("db-0", **inputs, labels={"tier": "gold"})
    driver = bench.driver()
    (outcome,) = go(driver, changes([unit], driver.observe([unit], []), Action.CREATE)).values()
    assert outcome.result == Result.FAILED
    assert f"{foreign}: is there under the name of a disk" in outcome.message
    assert not attached(bench, foreign)

    bench.call("delete_volume", VolumeId=foreign)
    driver = bench.driver()
    seen = driver.observe([unit], [])
    (outcome,) = go(driver, changes([unit], seen, Action.UPDATE)).values()
    assert outcome.result == Result.DONE, outcome
    (disk,) = kept(bench)
    assert attached(bench, disk)
    (instance,) = bench.named("here-shop-db-0")
    assert instance["SubnetId"] == subnet["SubnetId"]
    assert {"Key": "tier", "Value": "gold"} in instance["Tags"]

    bench.call("stop_instances", InstanceIds=[instance["InstanceId"]])
    bench.small = {}
    unit, driver = bench.machine("db-0", **inputs), bench.driver(refresh=True)
    seen = driver.observe([unit], [])
    assert seen.units[unit.address].because == "the machine is stopped"  # type: ignore[union-attr]
    (outcome,) = go(driver, changes([unit], seen, Action.UPDATE)).values()
    assert outcome.result == Result.DONE, outcome
    (instance,) = bench.named("here-shop-db-0")
    assert (instance["State"]["Name"], "tier" in {tag["Key"] for tag in instance["Tags"]}) == ("running", False)
    assert bench.cpus("here-shop-db-0") == 4, "what is declared no more is left"

    driver = bench.driver()
    known = records([unit], {unit.address.name: outcome})
    seen = driver.observe([unit], known)
    (outcome,) = go(driver, changes([unit], seen, Action.DELETE)).values()
    assert outcome.result == Result.DONE, outcome
    assert (kept(bench), attached(bench, disk)) == ([disk], False)
    driver = bench.driver()
    (outcome,) = go(driver, changes([unit], driver.observe([unit], []), Action.CREATE)).values()
    assert outcome.result == Result.DONE, outcome
    assert (kept(bench), attached(bench, disk)) == ([disk], True)


def attached(bench: Ec2Bench, volume: str) -> bool:
    (found,) = bench.call("describe_volumes", VolumeIds=[volume])["Volumes"]
    return bool(found["Attachments"])


def kept(bench: Ec2Bench) -> list[str]:
    """The volumes that bear the disk's name."""
    names = [{"Name": "tag:Name", "Values": ["here-shop-db-0-data"]}]
    return [one["VolumeId"] for one in bench.call("describe_volumes", Filters=names)["Volumes"]]


@LONG
@pytest.mark.parametrize("bench", ["vsphere"], indirect=True)
def test_a_machine_that_gets_no_address_is_told_and_finished_once_it_has_one(bench: VsphereBench) -> None:
    addressed = bench.settings
    bench.settings = {**addressed, "advancedSettings": {}, "wait": 2}
    unit, driver = bench.machine("db-0"), bench.driver()
    (outcome,) = go(driver, changes([unit], driver.observe([unit], []), Action.CREATE)).values()
    assert (outcome.result, outcome.message) == (
        Result.FAILED,
        "it runs, and has got no address; look at its network, and apply again",
    )
    bench.settings = addressed
    driver = bench.driver()
    (outcome,) = go(driver, changes([unit], driver.observe([unit], []), Action.WAIT)).values()
    assert outcome.result == Result.DONE, outcome.message
    assert bench.names() == ["here-shop-db-0"]


@LONG
@pytest.mark.parametrize("bench", ["vsphere"], indirect=True)
def test_a_virtual_machines_disk_and_networks_are_those_that_are_declared(bench: VsphereBench) -> None:
    bench.settings = {**bench.settings, "networks": {"front": "DC0_DVPG0", "storage": "VM Network"}}

    def done(action: Action, **inputs: Any) -> Outcome:
        unit, driver = bench.machine("db-0", **inputs), bench.driver(refresh=True)
        (outcome,) = go(driver, changes([unit], driver.observe([unit], []), action)).values()
        return outcome

    first = done(Action.CREATE, disk="12Gi", networks=["front"], labels={"tier": "gold"})
    assert first.result == Result.DONE, first.message
    assert bench.devices("here-shop-db-0") == ([12], ["DC0_DVPG0"])
    larger = {"disk": "20Gi", "networks": ["front", "storage"]}
    assert done(Action.UPDATE, **larger).result == Result.DONE
    assert bench.devices("here-shop-db-0") == ([20], ["DC0_DVPG0", "VM Network"])
    assert done(Action.UPDATE).result == Result.DONE
    assert bench.devices("here-shop-db-0") == ([20], ["DC0_DVPG0", "VM Network"]), "what is not declared is left"
    assert "label.tier" not in bench.settings_of("here-shop-db-0")
    bench.call("done(vms[a['name']].PowerOff())", name="here-shop-db-0")
    assert done(Action.WAIT).result == Result.DONE, "what is stopped is started"
    assert bench.call("answer = vms[a['name']].runtime.powerState", name="here-shop-db-0") == "poweredOn"
    assert "disk" in done(Action.UPDATE, disk="5Gi").message
    assert "Removing interfaces is not allowed" in done(Action.UPDATE, networks=["front"]).message
    refused = done(Action.UPDATE, networks=["nowhere"])
    assert "the network `nowhere` is not among the site's `networks`; there are front, storage" in refused.message
