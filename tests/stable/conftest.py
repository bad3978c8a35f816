"""A small estate whose hosts are folders of this computer, reached through Ansible's `local` connection."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.machine_providers import machine_provider
from orchestrator.lab.home import Home
from orchestrator.lab.whole import down
from orchestrator.model.address import Address, Mode
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Absent, Observed, Present
from orchestrator.model.outcome import Outcome
from orchestrator.model.record import Record
from orchestrator.model.source import Source
from orchestrator.model.unit import Unit
from orchestrator.model.values import digest
from orchestrator.modes.stable.driver import StableDriver
from orchestrator.modes.stable.reach.reaching import Reach
from orchestrator.modes.stable.site import StableSite
from tests.machines.fleet import Fleet
from tests.stable import libvirt_bench
from tests.stable.benches import HERE, Bench
from tests.stable.provider_benches import MAKERS

ESTATE_ID = "11111111-2222-3333-4444-555555555555"


@dataclass
class Estate:
    """A root folder with one blueprint `bp` and hosts h1, h2, ...; each host's files are in `hosts/NAME`."""

    root: Path
    hosts: Sequence[str] = ("h1", "h2")
    scrub: Callable[[str], str] = lambda text: text
    vaults: Mapping[str, str] = field(default_factory=dict)
    drivers: list[StableDriver] = field(default_factory=list)
    reaches: list[Reach] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in self.hosts:
            (self.root / "hosts" / name).mkdir(parents=True, exist_ok=True)
        self.blueprint.mkdir(exist_ok=True)
        self.write_inventory({})

    @property
    def blueprint(self) -> Path:
        return self.root / "bp"

    @property
    def scratch(self) -> Path:
        return self.root / ".orchestrator" / "stable"

    def host(self, name: str) -> Path:
        """Where a host's files are."""
        return self.root / "hosts" / name

    def write_inventory(self, changed: Mapping[str, Mapping[str, Any]]) -> None:
        """Every host is local, but for what `changed` says."""
        hosts = {
            name: {
                "ansible_connection": "local",
                "ansible_python_interpreter": "/usr/bin/python3"
                if Path("/usr/bin/python3").exists()
                else sys.executable,
                "ansible_host": "127.0.0.1",
                "orchestrator_state_folder": str(self.host(name) / "state"),
                "base": str(self.host(name)),
                **changed.get(name, {}),
            }
            for name in self.hosts
        }
        (self.root / "hosts.yml").write_text(json.dumps({"db": {"hosts": hosts}}))

    def write(self, name: str, text: str) -> None:
        """A file of the blueprint."""
        path = self.blueprint / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())

    def driver(self) -> StableDriver:
        """A driver as a new process of the CLI would have."""
        reach = Reach(self.root, self.scrub)
        site = StableSite(
            site="here",
            estate_id=ESTATE_ID,
            estate_name="test",
            root=self.root,
            scratch=self.scratch,
            provider=machine_provider(self.root, "static", {})[0],
            scrub=self.scrub,
            inventory=self.root / "hosts.yml",
            vaults=self.vaults,
            folders={"bp": self.blueprint},
        )
        driver = StableDriver(site, reach)
        self.reaches.append(reach)
        self.drivers.append(driver)
        return driver

    def unit(self, host: str = "h1", *, workload: str = "db", **spec: Any) -> Unit:
        """A configuration, shaped as the desired state makes it."""
        full = {
            "host": host,
            "playbook": "play.yaml",
            "roles": [],
            "remove": None,
            "vars": {},
            "ready": [],
            "folder": str(self.blueprint),
            "label": "bp",
            **spec,
        }
        files = {
            str(path.relative_to(self.blueprint)): digest(path.read_bytes().hex())
            for path in sorted(self.blueprint.rglob("*"))
            if path.is_file()
        }
        inputs = {f"vars.{name}": value for name, value in full["vars"].items()} | {"ready": full["ready"]} | files
        what = full["playbook"] or ",".join(full["roles"])
        address = Address("here", "shop", Mode.STABLE, workload, "configuration", host)
        return Unit(address, full, inputs, f"{host}:{what}", Source("bp/blueprint.yaml", 1), blueprint="bp 1.0.0")

    def close(self) -> None:
        for driver in self.drivers:
            driver.close()
        for reach in self.reaches:
            reach.close()


def changes_for(units: Sequence[Unit], seen: Observed, action: Action | None = None) -> list[Change]:
    """What a plan would have for these units, without its reasons."""
    found = []
    for unit in units:
        observation = seen.units[unit.address]
        chosen = action or (Action.CREATE if isinstance(observation, Absent) else Action.UPDATE)
        found.append(Change(unit.address, chosen, "for a test", unit=unit, seen=observation))
    return found


def apply(driver: StableDriver, units: Sequence[Unit], action: Action | None = None) -> dict[str, Outcome]:
    """See the units, and apply them; outcomes by unit name."""
    seen = driver.observe(units, [])
    return {o.address.name: o for o in driver.apply(changes_for(units, seen, action), lambda progress: None)}


def present(seen: Observed, unit: Unit) -> Present:
    """What was seen of a unit that has to be there."""
    found = seen.units[unit.address]
    assert isinstance(found, Present), found
    return found


def record_of(unit: Unit) -> Record:
    """What the store would remember of an applied configuration."""
    spec = {key: unit.spec.get(key) for key in ("host", "playbook", "remove", "label")}
    return Record(unit.address, "d", unit.identity, spec=spec)


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Estate]:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    for name in ("CONFIG", "CACHE", "STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "xdg" / name.lower()))
    made = Estate(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def tools() -> Any:
    """The functions above, for tests: with importlib mode a conftest cannot be imported by name."""
    return sys.modules[__name__]


@dataclass
class Made:
    """A lab machine with the configuration `play.yaml`, both applied, and the driver that did it."""

    driver: StableDriver
    machine: Unit
    configuration: Unit
    lab: Path

    @property
    def folder(self) -> Path:
        """Where the machine's disk and snapshots are."""
        name = str(self.machine.spec["name"])
        return Path(json.loads((self.lab / "machines" / name / "machine.json").read_text())["place"])

    def write(self, path: str, text: str) -> None:
        """Change a file on the machine's disk by hand."""
        (self.folder / "disk" / path.lstrip("/")).write_text(text)

    def read(self, path: str) -> str:
        """A file on the machine's disk."""
        return (self.folder / "disk" / path.lstrip("/")).read_text()


@pytest.fixture
def made(estate: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    home = Home(tmp_path / "lab")
    monkeypatch.setenv("ORCHESTRATOR_LAB_HOME", str(home.path))
    estate.write(
        "play.yaml",
        "- hosts: db\n  gather_facts: false\n  tasks: [{ansible.builtin.copy: {content: x, dest: /etc/x}}]\n",
    )
    reach = Reach(estate.root, estate.scrub)
    provider, _ = machine_provider(estate.root, "lab", {})
    site = StableSite("here", ESTATE_ID, "test", estate.root, estate.scratch, provider, estate.scrub)
    driver = StableDriver(site, reach)
    estate.reaches.append(reach)
    estate.drivers.append(driver)
    name = "here-shop-db-0"
    address = Address("here", "shop", Mode.STABLE, "db", "machine", "db-0")
    unit = Unit(address, {"name": name, "cpu": 2}, {"cpu": 2}, f"machine:{name}", Source("bp/blueprint.yaml", 1))
    settings = estate.unit(name)
    try:
        for one in (unit, settings):
            (outcome,) = apply(driver, [one]).values()
            if "no sandbox" in outcome.message:
                pytest.skip(outcome.message)
            assert not outcome.message, outcome
        yield Made(driver, unit, settings, home.path)
    finally:
        down(home)


def on_machines(root: Path, fleet: Fleet, *names: str) -> Estate:
    """An estate whose hosts are machines of a fleet, started where they are not running."""
    made = Estate(root, names)
    machines = [fleet.machines.get(name) or fleet.start(name) for name in names]
    over_ssh = {"ansible_connection": "ssh", "orchestrator_state_folder": "/var/lib/orchestrator", "base": ""}
    made.write_inventory({machine.name: {**over_ssh, **machine.vars} for machine in machines})
    return made


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Any]]:
    """What the benches of a module share: started when first needed."""
    running: dict[str, Any] = {}
    yield running
    for one in running.values():
        one.__exit__(None, None, None)


@pytest.fixture
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, servers: dict[str, Any]
) -> Iterator[Bench]:
    """The bench of the provider that is asked for."""
    monkeypatch.setenv("ANSIBLE_CONNECTION_PLUGINS", str(HERE / "simulated"))
    monkeypatch.setenv("ORCHESTRATOR_LAB_HOME", str(tmp_path / "lab"))
    if request.param == "libvirt":
        libvirt_bench.patient(monkeypatch)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # would count more than that certificates are not checked
        monkeypatch.delenv(name, raising=False)
    made = MAKERS[request.param](tmp_path, servers)
    with made.entered():
        yield made
        made.close()
    if request.param == "lab":
        down(Home(tmp_path / "lab"))
