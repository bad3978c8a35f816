"""What the contract of machine providers is tried on: one bench for each provider, all alike."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.cli.machine_providers import machine_provider
from orchestrator.model.address import Address, Mode
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Observed
from orchestrator.model.outcome import Outcome
from orchestrator.model.record import Record
from orchestrator.model.source import Source
from orchestrator.model.unit import Unit
from orchestrator.modes.stable.driver import StableDriver
from orchestrator.modes.stable.reach.reaching import Reach
from orchestrator.modes.stable.site import StableSite
from tests.stable.vcenter import Vcenter

ESTATE_ID = "11111111-2222-3333-4444-555555555555"
HERE = Path(__file__).parent
OUR_SNAPSHOTS = [{"Name": "tag-key", "Values": ["orchestrator.dev/snapshot"]}]


@dataclass
class Bench:
    """A provider, a place for it, and drivers as processes of the CLI would have them.

    image    one that is there, small what a machine is made with, large what it is resized to
    resizes  what the plan says of that: `inPlace` or `restart`
    bad      what a machine cannot be made with, and what is said of it
    """

    root: Path
    provider: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    small: Mapping[str, Any] = field(default_factory=lambda: {"cpu": 2})
    large: Mapping[str, Any] = field(default_factory=lambda: {"cpu": 4})
    image: str = "debian-12"
    resizes: str = "inPlace"
    bad: Sequence[tuple[Mapping[str, Any], str]] = ()
    drivers: list[StableDriver] = field(default_factory=list)
    reaches: list[Reach] = field(default_factory=list)

    def driver(self, *, refresh: bool = False) -> StableDriver:
        """A driver as a new process of the CLI has it."""
        provider, settings = machine_provider(self.root, self.provider, dict(self.settings))
        reach = Reach(self.root, lambda text: text)
        site = StableSite(
            site="here",
            estate_id=ESTATE_ID,
            estate_name="test",
            root=self.root,
            scratch=self.root / ".orchestrator",
            provider=provider,
            scrub=lambda text: text,
            settings=settings,
            refresh=refresh,
        )
        driver = StableDriver(site, reach)
        self.reaches.append(reach)
        self.drivers.append(driver)
        return driver

    def machine(self, name: str = "db-0", **inputs: Any) -> Unit:
        """A machine as the desired state makes it."""
        given = {"image": self.image, **self.small, **inputs}
        full = f"here-shop-{name}"
        address = Address("here", "shop", Mode.STABLE, name.partition("-")[0], "machine", name)
        return Unit(address, {"name": full, **given}, given, f"machine:{full}", Source("bp/blueprint.yaml", 1))

    def close(self) -> None:
        """End what drivers keep running."""
        for driver in self.drivers:
            driver.close()
        for reach in self.reaches:
            reach.close()

    # What each provider does in its own way.

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Its machines can be reached until the block ends."""
        yield

    def make_foreign(self, name: str) -> None:
        """A machine of that name that nobody's estate has made."""
        raise NotImplementedError

    def resize_outside(self, name: str) -> None:
        """Give a machine another number of processors, behind our back."""
        raise NotImplementedError

    def names(self) -> list[str]:
        """The names of all machines that are there, once for each."""
        raise NotImplementedError

    def begun(self) -> bool:
        """Whether any machine is there."""
        return bool(self.names())

    @contextmanager
    def held(self) -> Iterator[None]:
        """While a machine is made, the provider does not answer until the block ends, if that can be arranged."""
        yield

    def bury(self) -> None:
        """Where machines have no inside: what stands for it goes with the machine."""

    def silence(self, name: str) -> None:
        """Make a machine answer no more, though it runs."""
        raise NotImplementedError


def changes(units: list[Unit], seen: Observed, action: Action) -> list[Change]:
    """What a plan would have for these units."""
    return [Change(u.address, action, "for a test", unit=u, seen=seen.units[u.address]) for u in units]


def go(driver: StableDriver, todo: list[Change]) -> dict[str, Outcome]:
    """Apply; outcomes by unit name."""
    return {outcome.address.name: outcome for outcome in driver.apply(todo, lambda progress: None)}


def records(units: list[Unit], outcomes: Mapping[str, Outcome]) -> list[Record]:
    """What the store would remember."""
    return [Record(u.address, "", u.identity, facts=outcomes[u.address.name].facts) for u in units]


class LabBench(Bench):
    """Sandboxes on this computer."""

    def lab(self, verb: str, request: Mapping[str, Any]) -> Any:
        """Ask the lab itself."""
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator.lab.machines", verb],
            input=json.dumps(request),
            text=True,
            capture_output=True,
            check=True,
        )
        return json.loads(done.stdout)

    def make_foreign(self, name: str) -> None:
        self.lab("ensure", {"machines": [{"name": name, "spec": {}, "tags": {}}]})

    def resize_outside(self, name: str) -> None:
        (there,) = [one for one in self.lab("observe", {})["machines"] if one["name"] == name]
        spec = {**there["spec"], "cpu": 16}
        self.lab("ensure", {"machines": [{"name": name, "spec": spec, "tags": there["tags"]}]})

    def names(self) -> list[str]:
        return [one["name"] for one in self.lab("observe", {})["machines"]]


class SimulatedBench(Bench):
    """Machines of a simulator: they have no inside; a folder stands for it (simulated/simulated.py)."""

    @property
    def folder(self) -> Path:
        """Where the machines' state is."""
        return self.root / "inside"

    def vars(self) -> dict[str, Any]:
        """How its machines are reached."""
        python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
        here = {"ansible_connection": "simulated", "ansible_python_interpreter": python}
        return {**here, "simulated_folder": str(self.folder)}

    def bury(self) -> None:
        for own in set(self.folder.iterdir()) - {self.folder / name for name in self.names()}:
            own.rename(self.root / f"{own.name}.{time.monotonic_ns()}")
            self.silence(own.name)

    def refusing_snapshots(self, name: str) -> AbstractContextManager[str]:
        """Until the block ends the provider takes no snapshot of that machine -> what it says of it."""
        raise NotImplementedError

    def snapshots(self) -> dict[str, list[str]]:
        """The names of all snapshots that are there, by machine."""
        raise NotImplementedError

    def cpus(self, name: str) -> int:
        """How many processors a machine has."""
        raise NotImplementedError

    def silence(self, name: str) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{name}.down").touch()


class Ec2Bench(SimulatedBench):
    """moto's EC2, on loopback."""

    url = ""
    signs = Path()  # where the server makes the file `made`, and waits while there is a file `hold`

    def call(self, method: str, **arguments: Any) -> Any:
        """Ask the server itself, with boto3 of the provider's own Python."""
        code = (
            "import boto3, json, sys; a = json.load(sys.stdin); "
            "c = boto3.client('ec2', region_name='eu-central-1', endpoint_url=a['url'],"
            " aws_access_key_id='test', aws_secret_access_key='test'); "
            "print(json.dumps(getattr(c, a['method'])(**a['arguments']), default=str))"
        )
        asked = {"url": self.url, "method": method, "arguments": arguments}
        done = subprocess.run(
            [provider_python("ec2"), "-c", code], input=json.dumps(asked), text=True, capture_output=True, check=True
        )
        return json.loads(done.stdout)

    @contextmanager
    def refusing_snapshots(self, name: str) -> Iterator[str]:
        (self.signs / "no-snapshots").write_text(name)
        yield "The maximum per account snapshot limit has been reached"
        (self.signs / "no-snapshots").unlink()

    def snapshots(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for one in self.call("describe_snapshots", Filters=OUR_SNAPSHOTS)["Snapshots"]:
            name, _, snapshot = one["Description"].split()
            found.setdefault(name, []).append(snapshot)
        return found

    def cpus(self, name: str) -> int:
        (one,) = self.named(name)
        return {"t3.micro": 2, "t3.xlarge": 4}[one["InstanceType"]]

    def instances(self) -> list[dict[str, Any]]:
        """All instances that are not terminated."""
        found = self.call("describe_instances")
        every = [one for group in found["Reservations"] for one in group["Instances"]]
        return [one for one in every if one["State"]["Name"] not in ("terminated", "shutting-down")]

    def named(self, name: str) -> list[dict[str, Any]]:
        """The instances of that name."""
        return [one for one in self.instances() if {"Key": "Name", "Value": name} in one.get("Tags", [])]

    def begun(self) -> bool:
        return (self.signs / "made").exists()

    @contextmanager
    def held(self) -> Iterator[None]:
        (self.signs / "hold").touch()
        yield
        (self.signs / "hold").unlink()

    def make_foreign(self, name: str) -> None:
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}]
        self.call("run_instances", ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=tags)

    def resize_outside(self, name: str) -> None:
        (one,) = self.named(name)
        self.call("stop_instances", InstanceIds=[one["InstanceId"]])
        self.call("modify_instance_attribute", InstanceId=one["InstanceId"], InstanceType={"Value": "t3.2xlarge"})
        self.call("start_instances", InstanceIds=[one["InstanceId"]])

    def names(self) -> list[str]:
        found = [tag["Value"] for one in self.instances() for tag in one.get("Tags", []) if tag["Key"] == "Name"]
        return sorted(found)


def provider_python(name: str) -> str:
    """The Python that has what a provider's modules need."""
    from orchestrator.documents.providers import BUILT_IN
    from orchestrator.toolchain import provider_needs

    return str(provider_needs.python_with(BUILT_IN / name / "requirements.txt", print))


@contextmanager
def moto(folder: Path) -> Iterator[str]:
    """A moto server of our own -> its URL."""
    from orchestrator.toolchain import provider_needs

    python = provider_needs.python_with(HERE / "simulated" / "moto-requirements.txt", print)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (folder / "moto.log").open("wb")
    server = subprocess.Popen(
        [python, HERE / "simulated" / "moto_server.py", str(port), folder],
        stdout=log,
        stderr=log,
        env={**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
    )
    try:
        _listens(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()
        log.close()


def _listens(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server has ended"
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on port {port}")


class VsphereBench(SimulatedBench):
    """govmomi's vCenter, on loopback."""

    vcenter: Vcenter

    def call(self, code: str, **arguments: Any) -> Any:
        """Ask the server itself, with pyVmomi of the provider's own Python; `answer` is what the code leaves."""
        begin = (
            "import json, sys, time\nfrom pyVim.connect import SmartConnect\n"
            "from pyVmomi import vim\na = json.load(sys.stdin)\nanswer = None\n"
            # pyVim's own takes a clone that has not ended for one of a kind that the simulator does not know.
            "def done(task):\n"
            "    while task.info.state not in ('success', 'error'): time.sleep(0.02)\n"
            "    assert task.info.state == 'success', task.info.error\n"
            "login = dict(user='user', pwd='pass', disableSslCertValidation=True)\n"
            "s = SmartConnect(host='127.0.0.1', port=a['port'], **login)\n"
            "c = s.RetrieveContent()\n"
            "view = c.viewManager.CreateContainerView(c.rootFolder, [vim.VirtualMachine], True)\n"
            "vms = {v.name: v for v in view.view}\n"
        )
        asked = {"port": self.vcenter.own, **arguments}
        python = provider_python("vsphere")
        text = f"{begin}{code}\nprint(json.dumps(answer))\n"
        done = subprocess.run(
            [python, "-c", text], input=json.dumps(asked), text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def begun(self) -> bool:
        return self.vcenter.cloned.is_set()

    def held(self) -> AbstractContextManager[None]:
        return self.vcenter.held()

    @contextmanager
    def refusing_snapshots(self, name: str) -> Iterator[str]:
        self.vcenter.refuses = ("CreateSnapshot_Task", self.call("answer = vms[a['name']]._moId", name=name))
        yield "Insufficient disk space"
        self.vcenter.refuses = ()

    def snapshots(self) -> dict[str, list[str]]:
        code = (
            "def names(tree): return [n for t in tree for n in [t.name, *names(t.childSnapshotList)]]\n"
            "answer = {n: names(v.snapshot.rootSnapshotList or [] if v.snapshot else []) for n, v in vms.items()}"
        )
        return {name: there for name, there in self.call(code).items() if there}

    def cpus(self, name: str) -> int:
        return int(self.call("answer = vms[a['name']].config.hardware.numCPU", name=name))

    def make_foreign(self, name: str) -> None:
        code = (
            "t = vms['DC0_H0_VM0']; pool = c.rootFolder.childEntity[0].hostFolder.childEntity[0].resourcePool\n"
            "spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(pool=pool), powerOn=False, template=False)\n"
            "done(t.Clone(folder=t.parent, name=a['name'], spec=spec))"
        )
        self.call(code, name=name)

    def resize_outside(self, name: str) -> None:
        code = (
            "v = vms[a['name']]\ndone(v.PowerOff())\n"
            "done(v.Reconfigure(vim.vm.ConfigSpec(numCPUs=16)))\ndone(v.PowerOn())"
        )
        self.call(code, name=name)

    def names(self) -> list[str]:
        there: list[str] = self.call("answer = sorted(n for n in vms if not n.startswith('DC0_'))")
        return there

    def devices(self, name: str) -> tuple[list[int], list[str]]:
        """The sizes of a machine's disks in GiB, and its networks, in the order of its cards."""
        code = (
            "devices = vms[a['name']].config.hardware.device\n"
            "groups = {g.key: g.name for n in vms[a['name']].network for g in [n] if hasattr(n, 'key')}\n"
            "def net(b): return groups[b.port.portgroupKey] if hasattr(b, 'port') else b.deviceName\n"
            "answer = [[d.capacityInKB >> 20 for d in devices if isinstance(d, vim.vm.device.VirtualDisk)],"
            " [net(d.backing) for d in devices if isinstance(d, vim.vm.device.VirtualEthernetCard)]]"
        )
        sizes, networks = self.call(code, name=name)
        return sizes, networks

    def settings_of(self, name: str) -> dict[str, str]:
        """A machine's advanced settings."""
        code = "answer = {o.key: o.value for o in vms[a['name']].config.extraConfig if o.value}"
        there: dict[str, str] = self.call(code, name=name)
        return there

    def clear(self) -> None:
        """Remove all machines."""
        code = (
            "for n, v in vms.items():\n    if not n.startswith('DC0_'):\n"
            "        if v.runtime.powerState == 'poweredOn': done(v.PowerOff())\n"
            "        done(v.Destroy())"
        )
        self.call(code)
