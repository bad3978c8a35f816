"""What goes wrong with real machines, as a person sees it: clear errors, the others are done, an apply finishes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.conftest import Estate
from tests.machines import estates
from tests.machines.fleet import Fleet, Machine

pytestmark = pytest.mark.lab

PLAY = """\
- name: The app
  hosts: app
  gather_facts: false
  tasks:
    - {name: Settings, ansible.builtin.copy: {content: "{{ text }}\\n", dest: /etc/app.conf}, notify: Restarted}
    - name: Data
      ansible.builtin.copy: {content: "{{ 'x' * 200000 }}", dest: /srv/small/data}
    - name: Migration
      ansible.builtin.shell: touch /run/began; while test -e /run/hold; do sleep 0.1; done
      changed_when: false
    - {name: Last, ansible.builtin.copy: {content: "{{ text }}\\n", dest: /etc/app.last}}
  handlers:
    - {name: Restarted, ansible.builtin.shell: "echo {{ text }} >> /var/app.restarts"}
"""
NAMES = ("calm", "full", "gone", "hung")
IMPATIENT = "-o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=1 -o ServerAliveCountMax=2"


def until(holds: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.1)


def began(machine: Machine) -> bool:
    return machine.run("ls /run/began 2>/dev/null || true") != ""


@pytest.fixture(scope="module")
def machines(fleet: Fleet) -> dict[str, Machine]:
    """One with systemd; sshd alone is enough for the others."""
    for name in NAMES:
        fleet.launch(name, "systemd" if name == "gone" else "sshd")
    for name in NAMES:
        fleet.wait_for(fleet.machines[name])
        fleet.machines[name].run("mkdir -p /srv/small")
    return fleet.machines


@pytest.fixture
def estate(machines: dict[str, Machine], tmp_path: Any) -> Iterator[Estate]:
    it = estates.of_cli(tmp_path / "estate", ORCHESTRATOR_HOST_TIMEOUT="30")
    estates.write_static_site(it, ["app"])
    estates.write_placement(it)
    yield it
    for machine in machines.values():
        machine.run("rm -rf /run/hold /run/began /var/app.restarts /etc/app.* /srv/small/data /var/lib/orchestrator")


def declared(estate: Estate, text: str, *names: str) -> None:
    configure = {"playbook": "play.yaml", "vars": {"text": text}}
    files = {"play.yaml": PLAY}
    estates.write_blueprint(estate, {"app": {"machines": {"count": len(names)}, "configure": configure}}, files)


def test_what_befalls_machines_in_mid_play(estate: Estate, machines: dict[str, Machine], fleet: Fleet) -> None:
    """A disk that is full, a reboot, a connection that hangs: side by side in one play, beside one that is well."""
    hosts = {name: dict(machines[name].vars) for name in NAMES}
    hosts["hung"]["ansible_ssh_args"] = IMPATIENT
    estates.write_hosts(estate, {"app": hosts})
    declared(estate, "one", *NAMES)
    machines["full"].run("mount -t tmpfs -o size=100k small /srv/small")
    for name in ("gone", "hung"):
        machines[name].run("touch /run/hold")
    process = estate.start("apply", "--yes")
    until(lambda: process.poll() is not None or all(map(began, (machines["gone"], machines["hung"]))), "the task runs")
    assert process.poll() is None, estate.ended(process)
    for pid in sessions(machines["hung"]):
        os.kill(pid, signal.SIGSTOP)
    fleet.reboot("gone")
    told = estate.ended(process).ended(1).out
    for name, what in (("full", "failed"), ("gone", "unreachable"), ("hung", "unreachable")):
        task, line = ("Data", 6) if name == "full" else ("Migration", 8)
        assert re.search(rf'configuration {name} +{what} at "{task}", stable app\n +app/play.yaml:{line}\n', told), told
    assert "No space left on device" in told
    assert "make room on the host, and apply again: it goes on from there" in told
    assert told.count("when it answers again, apply again: what was begun is finished then") == 2
    assert "1 changed, 1 failed, 2 unreachable" in told
    assert states(machines) == {"calm": "one", "full": "", "gone": "", "hung": ""}

    machines["full"].run("umount /srv/small")
    machines["hung"].run("rm -f /run/hold")
    assert sorted(estate.plan()) == [f"stable/app/configuration/{name}" for name in ("full", "gone", "hung")]
    assert "3 changed" in estate.apply().out
    assert states(machines) == dict.fromkeys(NAMES, "one")
    restarts = {name: machines[name].run("cat /var/app.restarts") for name in NAMES}
    assert restarts == dict.fromkeys(NAMES, "one\n"), "handlers that were notified before the end run, once"


def states(machines: dict[str, Machine]) -> dict[str, str]:
    """What the last task has left on each machine."""
    return {name: machines[name].run("cat /etc/app.last 2>/dev/null || true").strip() for name in NAMES}


def test_a_run_that_was_killed_in_its_second_batch_goes_on_there(estate: Estate, machines: dict[str, Machine]) -> None:
    names = ("calm", "full", "hung")
    estates.write_hosts(estate, {"app": {name: machines[name].vars for name in names}})
    estates.write_placement(estate, {"stable": {"batches": [1, "100%"]}})
    declared(estate, "two", *names)
    machines["hung"].run("touch /run/hold")
    process = estate.start("apply", "--yes")
    until(lambda: process.poll() is not None or began(machines["hung"]), "the second batch's task runs")
    assert process.poll() is None, estate.ended(process)
    os.killpg(process.pid, signal.SIGKILL)
    estate.ended(process)
    machines["hung"].run("rm -f /run/hold")
    planned = estate("plan").ended(0).out
    assert "(batch 2 of 2)" in planned
    assert "2 to " in planned
    ran = estate.apply()
    assert "2 changed" in ran.out
    assert "calm" not in ran.out, "the first batch is done"
    assert {name: machines[name].run("cat /etc/app.last /var/app.restarts") for name in names} == dict.fromkeys(
        names, "two\ntwo\n"
    )


LOGINS = """\
- name: The app
  hosts: app
  gather_facts: false
  tasks:
    - {name: Own, ansible.builtin.copy: {content: x, dest: "{{ place }}/own"}}
    - name: Else
      ansible.builtin.copy: {content: x, dest: /home/app/else}
      become: true
      become_user: app
      when: becomes == "else"
    - {name: Root, ansible.builtin.copy: {content: x, dest: /etc/app.root}, become: true, when: becomes == "root"}
"""


def test_logins_that_do_not_work_are_told_and_the_others_are_done(
    estate: Estate, machines: dict[str, Machine], fleet: Fleet
) -> None:
    """Other users, a wrong become password, another host key, no Python, no room for what we keep on the host."""
    for name in ("calm", "full", "hung"):
        machines[name].run(PEOPLE)
    machines["full"].run("for i in /usr/bin/python3*; do mv $i /opt; done")
    machines["hung"].run(
        "mkdir -p /srv/kept; mount -t tmpfs -o size=8k kept /srv/kept; cp /dev/zero /srv/kept/x || true"
    )
    hosts = logins(machines, fleet)
    estates.write_hosts(estate, {"app": hosts})
    configured = {"machines": {"count": len(hosts)}, "configure": {"playbook": "play.yaml"}}
    estates.write_blueprint(estate, {"app": configured}, {"play.yaml": LOGINS})
    told = estate.apply(expect=1).out
    for name, why in WHY.items():
        assert re.search(rf"[!✗] (here  )?configuration {name} +{why}", told), f"{name}: {told}"
    assert "3 changed, 1 failed, 1 unreachable, 3 held" in told
    assert machines["calm"].run("stat -c %U /root/own /home/app/own /home/app/else").split() == ["root", "app", "app"]

    machines["full"].run("mv /opt/python3* /usr/bin")
    machines["hung"].run("umount /srv/kept")
    for name in ("wrong", "late"):
        hosts[name]["ansible_become_password"] = "right"
    hosts["key"] = hosts["sudo"]
    estates.write_hosts(estate, {"app": hosts})
    assert sorted(estate.plan()) == [f"stable/app/configuration/{name}" for name in sorted(WHY)]
    assert "5 changed" in estate.apply().out


def logins(machines: dict[str, Machine], fleet: Fleet) -> dict[str, dict[str, Any]]:
    """Hosts of an inventory, most of them one machine under several names: how each is logged into."""
    calm, full, hung = (machines[name] for name in ("calm", "full", "hung"))
    another = fleet.folder / "another_key"
    another.write_text(f"{calm.address} {(fleet.folder / 'key.pub').read_text()}")
    ops = {"ansible_user": "ops", "ansible_become_password": "right", "place": "/home/ops", "becomes": ""}
    sudo = {**ops, "ansible_become": True, "place": "/root"}
    user = {"ansible_become": True, "ansible_become_user": "app", "place": "/home/app", "becomes": ""}
    return {
        "sudo": {**calm.vars, **sudo},
        "user": {**calm.vars, **user},
        "else": {**calm.vars, "place": "/srv", "becomes": "else"},
        "wrong": {**calm.vars, **sudo, "ansible_become_password": "no"},
        "late": {**calm.vars, **ops, "ansible_become_password": "no", "becomes": "root"},
        "key": {**calm.vars, **sudo, "ansible_ssh_common_args": f"-o UserKnownHostsFile={another}"},
        "bare": {**full.vars, **sudo},
        "kept": {**hung.vars, **sudo, "orchestrator_state_folder": "/srv/kept"},
    }


WHY = {
    "wrong": r"held: unreachable \(ssh \S+:22: the become password is wrong \(sudo to root\); correct `ansible_become_",
    "late": r'failed at "Root", stable app\n +app/play.yaml:11\n.*\n +correct `ansible_become_password`',
    "key": r"held: unreachable \(ssh \S+:22: its host key has changed; if that is right, remove the old one: ssh-",
    "bare": r"held: unreachable \(ssh \S+:22: there is no Python 3 on the host .*; install it, or name another by",
    "kept": r"unreachable, stable app\n +kept: /srv/kept/\S+: No space left on device\n +make room on the host",
}
PEOPLE = """
for one in ops app; do id $one >/dev/null 2>&1 || useradd -m -s /bin/sh $one; done
echo ops:right | chpasswd; echo 'ops ALL=(ALL) ALL' > /etc/sudoers.d/ops
install -d -o ops -m 700 /home/ops/.ssh; install -o ops -m 600 /root/.ssh/authorized_keys /home/ops/.ssh/authorized_keys
"""


def sessions(machine: Machine) -> list[int]:
    """The processes, by their ids out here, of sshd that serve connections."""
    found = subprocess.run(["pgrep", "-P", str(machine.init)], capture_output=True, text=True, check=False).stdout
    return [int(pid) for pid in found.split()]
