"""Guests of a real libvirtd, emulated: what an operating system makes of its cloud-init, disks, networks, snapshots.

The hypervisor is reached over SSH here, as teams reach theirs; the contract's tests reach it locally.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from orchestrator.cli import root as command
from orchestrator.model.change import Action
from orchestrator.model.observation import Absent, Present, Unreachable
from orchestrator.model.outcome import Outcome, Result
from orchestrator.model.unit import Unit
from tests.machines.fleet import DIES_WITH_US
from tests.stable import libvirt_bench
from tests.stable.benches import changes, go
from tests.stable.libvirt_bench import LibvirtBench, Server

pytestmark = [pytest.mark.lab, pytest.mark.libvirt]
GATEWAY = "10.99.0.1"
SILENT = "<network><name>silent</name><bridge name='silent0'/></network>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """libvirtd, with an sshd beside it."""
    if why := libvirt_bench.why_not():
        pytest.skip(why)
    with libvirt_bench.server() as one:
        options = ["-D", "-f", "/dev/null", "-o", f"ListenAddress={GATEWAY}", "-o", f"HostKey={one.keys}/host"]
        options += ["-o", f"AuthorizedKeysFile={one.keys}/user.pub", "-o", "StrictModes=no", "-o", "PidFile=none"]
        inside = ["nsenter", "-t", str(one.libvirtd.init), "-m", "-n", "-p"]
        sshd = subprocess.Popen([*DIES_WITH_US, *inside, "/usr/sbin/sshd", *options])
        yield one
        sshd.kill()
        sshd.wait()


@pytest.fixture
def bench(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LibvirtBench]:
    libvirt_bench.patient(monkeypatch)
    made = libvirt_bench.bench_on(server, tmp_path)
    hypervisor = {"ansible_host": GATEWAY, "ansible_user": "root", **server.vars()}
    made.settings = {**made.settings, "hypervisors": {"kvm-1": hypervisor}, "uri": "qemu:///system"}
    with made.entered():
        yield made
        made.close()


def one(bench: LibvirtBench, unit: Unit, action: Action) -> Outcome:
    """Do this to a machine, as a new process would."""
    driver = bench.driver(refresh=True)
    (outcome,) = go(driver, changes([unit], driver.observe([unit], []), action)).values()
    return outcome


def done(bench: LibvirtBench, unit: Unit, action: Action) -> str:
    """Do it; the machine's address."""
    outcome = one(bench, unit, action)
    assert outcome.result == Result.DONE, f"{outcome.message}\n{outcome.log}"
    return str(outcome.facts["address"]) if outcome.facts else ""


def test_a_guest_has_what_was_declared_and_gives_it_back(bench: LibvirtBench) -> None:
    """cloud-init, disks and networks before and after its start, snapshots, and a kept disk for the next one."""
    run = bench.server.run
    told = bench.server.cloud_init(
        write_files=[{"path": "/etc/told", "content": "by {{ cloud-init }}"}],
        runcmd=["mkfs.ext4 -q -L data /dev/disk/by-id/virtio-data"],
    )
    inputs: dict[str, Any] = {
        "cloudInit": told,
        "labels": {"tier": "gold"},
        "disk": "2Gi",
        "disks": {"data": {"size": "64Mi", "keep": True}},
        "networks": ["front"],
    }
    unit = bench.machine("db-0", **inputs)
    address = done(bench, unit, Action.CREATE)
    assert run(address, "cloud-init status --wait").endswith("status: done")
    assert run(address, "cat /etc/told; echo; hostname") == "by {{ cloud-init }}\nhere-shop-db-0"
    assert int(run(address, "df --output=size -B 1M / | tail -1")) > 1500, "the root file system has grown"
    assert '<orchestrator:label name="tier">gold<' in bench.virsh("dumpxml", "here-shop-db-0")
    run(address, "mount LABEL=data /mnt && echo precious > /mnt/kept && umount /mnt")

    boot = run(address, "cat /proc/sys/kernel/random/boot_id")
    disks = {"data": {"size": "128Mi", "keep": True}, "log": {"size": "32Mi", "keep": False}}
    more = {**inputs, "labels": {"tier": "silver"}, "disks": disks, "networks": ["front", "storage"]}
    unit = bench.machine("db-0", **more)
    driver = bench.driver(refresh=True)
    found = driver.observe([unit], []).units[unit.address]
    assert isinstance(found, Present)
    assert {(d.path, d.replace, d.restart) for d in found.differences} == {
        (name, False, False) for name in ("disks", "labels", "networks")
    }
    done(bench, unit, Action.UPDATE)
    assert run(address, "cat /proc/sys/kernel/random/boot_id") == boot, "without a restart"
    assert run(address, "lsblk -bno SIZE /dev/disk/by-id/virtio-data /dev/disk/by-id/virtio-log").split() == [
        str(128 << 20),
        str(32 << 20),
    ]
    assert run(address, "ls /sys/class/net").split() == ["eth0", "eth1", "lo"]
    assert "silver" in bench.virsh("dumpxml", "here-shop-db-0")

    smaller = bench.machine("db-0", **{**more, "disk": "1900Mi"})
    assert "cannot shrink" in one(bench, smaller, Action.UPDATE).message

    _snapshots(bench, unit, address)

    done(bench, unit, Action.DELETE)
    assert (bench.names(), bench.volumes()) == ([], ["here-shop-db-0.data.qcow2"])
    unit = bench.machine("db-0", **{**more, "cloudInit": bench.server.cloud_init()})
    address = done(bench, unit, Action.CREATE)
    assert run(address, "mount LABEL=data /mnt && cat /mnt/kept") == "precious"
    assert run(address, "ip -4 -br addr show scope global | wc -l") == "2", "both cards have an address"


def _snapshots(bench: LibvirtBench, unit: Unit, address: str) -> None:
    """Taken while it runs, given back, merged again; what cannot be taken leaves nothing behind."""
    run, driver = bench.server.run, bench.driver(refresh=True)
    todo = changes([unit], driver.observe([unit], []), Action.UPDATE)
    in_the_way = bench.server.libvirtd.pool / f"here-shop-db-0.log.before.{libvirt_bench.ESTATE_ID}.qcow2"
    in_the_way.write_text("theirs")  # an empty one would be taken
    (outcome,) = driver.snapshot(todo, "before")
    assert outcome.result == Result.FAILED
    assert "already exists" in outcome.message
    in_the_way.unlink()
    run(address, "echo before > /root/state; sync")
    for _ in range(2):  # the second leaves it as it is
        (outcome,) = driver.snapshot(todo, "before")
        assert outcome.result == Result.DONE, outcome.message
        run(address, "echo after > /root/state; sync")
    (outcome,) = driver.restore(todo, "before")
    assert outcome.result == Result.DONE, outcome.message
    assert run(address, "cat /root/state") == "before"
    run(address, "echo again > /root/state; sync")
    for _ in range(2):
        (outcome,) = driver.drop_snapshot(todo, "before")
        assert outcome.result == Result.DONE, outcome.message
    assert run(address, "cat /root/state") == "again", "what was written since stays"
    parts = ["data", "log", "root"]
    assert bench.volumes() == [*(f"here-shop-db-0.{name}.qcow2" for name in parts), "here-shop-db-0.seed.iso"]
    (outcome,) = driver.restore(todo, "before")
    assert "here-shop-db-0 has no snapshot before" in outcome.message


def test_a_guest_that_gets_no_address_is_told_with_its_console(bench: LibvirtBench) -> None:
    xml = bench.root / "silent.xml"
    xml.write_text(SILENT)
    bench.virsh("net-create", str(xml))
    bench.settings = {**bench.settings, "networks": {"silent": "silent"}, "wait": 180}
    outcome = one(bench, bench.machine("db-0", networks=["silent"]), Action.CREATE)
    assert outcome.result == Result.FAILED
    said, _, console = outcome.message.partition("; its console ends:\n")
    assert "it runs, and has got no address; look at its network" in said
    assert console.strip()
    bench.virsh("net-destroy", "silent")


def test_with_a_hypervisor_that_does_not_answer_nothing_is_taken_for_absent(bench: LibvirtBench) -> None:
    """Neither made, as it may be there already, nor removed; and it is said which hypervisor that is."""
    unit = bench.machine("db-0")
    driver = bench.driver()
    todo = changes([unit], driver.observe([unit], []), Action.CREATE)
    (absent,) = (change.seen for change in todo)
    assert isinstance(absent, Absent)
    gone = {"ansible_host": "10.99.0.9", "ansible_user": "root", "ansible_ssh_common_args": "-o ConnectTimeout=2"}
    bench.settings = {**bench.settings, "hypervisors": {**bench.settings["hypervisors"], "kvm-2": gone}}
    driver = bench.driver()
    (outcome,) = go(driver, todo).values()
    assert outcome.result == Result.FAILED
    assert "whether here-shop-db-0 is there is not known: hypervisor kvm-2:" in outcome.message
    assert bench.names() == []
    found = driver.observe([unit], []).units[unit.address]
    assert isinstance(found, Unreachable)
    assert "hypervisor kvm-2" in found.why


def test_disks_of_an_earlier_machine_are_not_taken_for_those_of_a_new_one(bench: LibvirtBench) -> None:
    name = f"here-shop-db-0.root.{libvirt_bench.ESTATE_ID}.qcow2"
    bench.virsh("vol-create-as", "default", name, "1M", "--format", "qcow2")
    outcome = one(bench, bench.machine("db-0"), Action.CREATE)
    assert outcome.result == Result.FAILED
    assert f"{name} in the pool `default` is left of a machine here-shop-db-0" in outcome.message
    assert (bench.names(), bench.volumes()) == ([], ["here-shop-db-0.root.qcow2"])


def test_the_data_center_example_is_applied(bench: LibvirtBench) -> None:
    """As it is shipped, on another hypervisor and with smaller machines: planned, applied, in sync, removed."""
    root = bench.root / "datacenter"
    shutil.copytree(Path(__file__).parents[2] / "examples" / "datacenter", root)
    keys = bench.server.keys
    options = f"-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={bench.root}/known -o ControlPath={keys}/%C"
    edit(
        root / "site.yaml",
        settings={
            **bench.settings,
            "networks": {"storage": "storage"},
            "user": "ops",
            "vars": {"ansible_ssh_private_key_file": str(keys / "user"), "ansible_ssh_common_args": options},
        },
    )
    values = {"opsKey": (keys / "user.pub").read_text().strip(), "cpu": 1, "memory": "256Mi", "dataSize": "64Mi"}
    edit(root / "orders-db.yaml", values=values)

    def orchestrator(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(command, [*arguments, "-C", str(root)])
        assert done.exit_code == code, done.output
        return done.stdout

    shown = orchestrator("plan", "--detailed-exitcode", code=2)
    assert shown.count("machine orders-db-") == 2, shown
    orchestrator("apply", "--yes")
    assert bench.names() == ["hall-1-orders-db-orders-db-0", "hall-1-orders-db-orders-db-1"]
    orchestrator("plan", "--detailed-exitcode")
    assert "not:" not in orchestrator("drift", "--detailed-exitcode"), "all that the role does is verified"
    blueprint = root / "blueprints/orders-db/blueprint.yaml"
    blueprint.write_text(blueprint.read_text().replace("protect: true", "protect: false"))
    orchestrator("destroy", "--yes")
    parts = [f"hall-1-orders-db-orders-db-{index}.data.qcow2" for index in range(2)]
    own = yaml.safe_load((root / "orchestrator.yaml").read_text())["metadata"]["id"]
    assert (bench.names(), [name.replace(f".{own}.", ".") for name in bench.volumes()]) == ([], parts)


def edit(path: Path, **changed: Any) -> None:
    """Give a document's `spec` (or its `stable`) other values."""
    document = yaml.safe_load(path.read_text())
    spec = document["spec"].get("stable", document["spec"])
    spec.update(changed)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
