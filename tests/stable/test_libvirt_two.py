"""Two real libvirtd, each a hypervisor of one site, reached over SSH. Their machines start and have nothing to boot:
where they are made, and where they stay, is what counts here."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from orchestrator.documents.providers import BUILT_IN
from orchestrator.model.change import Action
from orchestrator.model.outcome import Outcome, Result
from orchestrator.model.unit import Unit
from orchestrator.toolchain import provider_needs
from tests.machines import libvirtd
from tests.machines.libvirtd import Libvirtd
from tests.stable import libvirt_bench
from tests.stable.benches import changes, go, provider_python
from tests.stable.libvirt_bench import IMAGE, LibvirtBench, Server

pytestmark = [pytest.mark.lab, pytest.mark.libvirt]
NO_ADDRESS = "it runs, and has got no address"


@pytest.fixture
def hypervisors(tmp_path: Path) -> Iterator[tuple[Libvirtd, Libvirtd]]:
    """Both, with an empty image; a socket's path must be short."""
    if why := libvirtd.why_not():
        pytest.skip(why)
    provider_python("libvirt")
    provider_needs.collections_of(BUILT_IN / "libvirt" / "requirements.yml", Path(), print)
    base = Path(tempfile.mkdtemp(prefix="libvirtd"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, base)
        both = stack.enter_context(Libvirtd(base / "1")), stack.enter_context(Libvirtd(base / "2"))
        for one in both:
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", one.pool / IMAGE, "8M"], check=True)
        yield both


@pytest.fixture
def bench(hypervisors: tuple[Libvirtd, Libvirtd], tmp_path: Path) -> Iterator[LibvirtBench]:
    """A site with both: an sshd for each connection is started where the hypervisor's sockets are."""
    for name in ("user", "host"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(tmp_path / name)], check=True
        )
    (tmp_path / "known_hosts").write_text(f"* {(tmp_path / 'host.pub').read_text()}")
    server = Server(hypervisors[0], tmp_path)
    made = libvirt_bench.bench_on(server, tmp_path)
    reached = {}
    for number, one in enumerate(hypervisors, 1):
        sshd = f"nsenter -t {one.init} -m -n -p /usr/sbin/sshd -i -f /dev/null -o HostKey={tmp_path}/host"
        sshd += f" -o AuthorizedKeysFile={tmp_path}/user.pub -o StrictModes=no"
        plain = server.vars()["ansible_ssh_common_args"].partition(" -o ControlPath=")[0]
        options = f"{plain} -o ControlMaster=no -o ProxyCommand='{sshd}'"
        reached[f"kvm-{number}"] = {"ansible_user": "root", **server.vars(), "ansible_ssh_common_args": options}
    made.settings = {**made.settings, "hypervisors": reached, "uri": "qemu:///system", "wait": 1}
    yield made
    made.close()


def done(bench: LibvirtBench, units: Sequence[Unit], action: Action) -> dict[str, Outcome]:
    """Do this to machines, as a new process would."""
    driver = bench.driver(refresh=True)
    return go(driver, changes(list(units), driver.observe(list(units), []), action))


def test_new_machines_are_dealt_over_hypervisors_and_stay_where_they_are(
    bench: LibvirtBench, hypervisors: tuple[Libvirtd, Libvirtd]
) -> None:
    def where() -> list[list[str]]:
        found = [sorted(one.virsh("list", "--all", "--name").split()) for one in hypervisors]
        return [[name.removeprefix("here-shop-") for name in names] for names in found]

    disks = {"data": {"size": "1Mi", "keep": True}}
    units = [bench.machine(f"db-{index}", **({"disks": disks} if index == 1 else {})) for index in range(4)]
    outcomes = done(bench, units, Action.CREATE)
    assert all(NO_ADDRESS in outcome.message for outcome in outcomes.values()), outcomes
    dealt = where()
    first, second = dealt.index(["db-0", "db-2"]), dealt.index(["db-1", "db-3"])

    done(bench, units, Action.WAIT)  # goes on with what is there
    assert where() == dealt

    outcome = done(bench, [units[1]], Action.DELETE)["db-1"]
    assert not outcome.message, outcome
    large = bench.machine("web-0", memory="1Gi")
    done(bench, [large], Action.CREATE)
    assert where()[second] == ["db-3", "web-0"], "where most memory is free"
    outcomes = done(bench, [units[1], bench.machine("web-1")], Action.CREATE)
    assert all(NO_ADDRESS in outcome.message for outcome in outcomes.values()), outcomes
    assert where()[first] == ["db-0", "db-2", "web-1"]
    assert where()[second] == ["db-1", "db-3", "web-0"], "to its disk, though the other has more memory"


def test_a_machine_that_is_given_back_has_its_size_again(
    bench: LibvirtBench, hypervisors: tuple[Libvirtd, Libvirtd], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_FIRST_ANSWER", "1")  # nothing in it could answer
    bench.settings = {**bench.settings, "stop": 1}

    def cpus() -> list[str]:
        found = [one for one in hypervisors if "here-shop-db-0" in one.virsh("list", "--all", "--name").split()]
        return [line for line in found[0].virsh("dumpxml", "here-shop-db-0").split("\n") if "<vcpu" in line]

    done(bench, [bench.machine("db-0")], Action.CREATE)
    before = cpus()
    unit, driver = bench.machine("db-0", cpu=4), bench.driver(refresh=True)
    todo = changes([unit], driver.observe([unit], []), Action.UPDATE)
    (kept,) = driver.snapshot(todo, "before")
    assert kept.result == Result.DONE, kept.message
    done(bench, [unit], Action.UPDATE)
    assert cpus() != before
    (given_back,) = bench.driver(refresh=True).restore(todo, "before")
    assert "as in snapshot before, and does not answer" in given_back.message
    assert cpus() == before
    (dropped,) = bench.driver(refresh=True).drop_snapshot(todo, "before")
    assert dropped.result == Result.DONE, dropped.message
    assert cpus() == before
