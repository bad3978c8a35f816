"""Real sandboxes, of the kind that works best on this computer."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.errors import LabError
from orchestrator.lab import client, machines, sandbox, whole
from orchestrator.lab.home import Home
from orchestrator.lab.machine import Machine
from orchestrator.lab.processes import with_environment
from tests.lab.helping import Run, command_line, ensure, inventory, play, provider

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("sandboxes")]


def kill_init(machine: Machine) -> None:
    assert machine.init is not None
    machine.init.signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while machine.init.alive() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_provider_ensures_observes_and_removes(home: Home):
    wanted = {"machines": [{"name": "webshop-orders-db-0", "spec": {"cpu": 2}, "tags": {"estate": "x"}}]}
    first = json.loads(provider(home, "ensure", wanted).stdout)["machines"][0]
    assert first["changed"]
    assert first["state"] == "running"
    assert first["spec"] == {"cpu": 2}
    assert first["tags"] == {"estate": "x"}
    again = json.loads(provider(home, "ensure", wanted).stdout)["machines"][0]
    assert again == {**first, "changed": False}
    wanted["machines"][0]["tags"] = {"estate": "y"}
    assert json.loads(provider(home, "ensure", wanted).stdout)["machines"][0]["changed"]
    seen = json.loads(provider(home, "observe", {}).stdout)["machines"]
    assert [(one["name"], one["address"], one["tags"]) for one in seen] == [
        ("webshop-orders-db-0", first["address"], {"estate": "y"})
    ]
    removed = provider(home, "remove", {"names": ["webshop-orders-db-0", "never-was"]})
    assert json.loads(removed.stdout) == {"removed": ["webshop-orders-db-0"]}
    assert json.loads(provider(home, "observe", {}).stdout) == {"machines": []}
    assert not home.machine("webshop-orders-db-0").exists()


@pytest.mark.parametrize(("request_", "said"), [("[1]", "not a JSON object"), ("{", "not a JSON object")])
def test_a_provider_that_asks_nonsense_is_told_so(home: Home, request_: str, said: str):
    done = provider(home, "ensure", request_)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stdout == ""


def test_machines_have_a_name_an_address_and_folders_of_their_own(home: Home, run: Run):
    one, two = ensure(home, "db-0", "db-1")
    assert one.address != two.address
    for machine in (one, two):
        assert run(machine.name, f"echo {machine.name} > /etc/mine && cat /etc/hostname")[1] == f"{machine.name}\n"
        with socket.socket() as probe:  # each can listen on the same port
            probe.bind((machine.address, 0))
    assert run("db-0", "cat /etc/mine")[1] == "db-0\n"


def test_the_host_is_out_of_reach(home: Home, run: Run):
    ensure(home, "db-0")
    beside = Path("/usr/lab-test-was-here")
    # Nothing here could do harm if it worked: a new file, and a remount of what is writable to root anyway.
    for attempt in (
        f"mount -o remount,rw /usr; touch {beside}",
        f"unshare -m sh -c 'mount -o remount,rw /usr'; touch {beside}",
    ):
        assert run("db-0", attempt)[0] != 0
    assert not beside.exists()
    held = int(run("db-0", "grep CapEff /proc/self/status")[1].split()[1], 16)
    assert held & 1 << 21 == 0, "may mount"
    assert held & 1 << 25 == 0, "may set the clock"


def test_input_output_and_exit_code_go_through_whole(home: Home, run: Run):
    ensure(home, "db-0")
    data = os.urandom(300_000).hex().encode()
    code, out, err = run("db-0", "cat; echo e >&2; exit 7", data)
    assert (code, out.encode() == data, err) == (7, True, "e\n")
    assert run("db-0", "kill -9 $$")[0] == 137
    assert run("db-0", "exit 0", data)[0] == 0  # nobody read it


def test_a_daemon_does_not_hold_up_the_command_that_started_it_and_goes_on(home: Home, run: Run):
    ensure(home, "db-0")
    started = time.monotonic()
    assert run("db-0", "setsid sleep 300 & echo $! > /run/pid")[0] == 0
    assert time.monotonic() - started < 5
    assert run("db-0", "kill -0 $(cat /run/pid)")[0] == 0


def test_a_client_that_goes_away_ends_its_command(home: Home, run: Run):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        ensure(home, "db-0")
    finally:
        signal.signal(signal.SIGHUP, before)
    null = client.null()
    session = client.start(home.machine("db-0"), ["/bin/sleep", "301"], (null, null, null), env={}, timeout=5)
    os.close(null)
    session.close()
    assert run("db-0", "for i in $(seq 100); do pgrep -f 'sleep 30[1]' || exit 0; sleep 0.1; done; exit 1")[0] == 0


def test_a_killed_machine_is_dead_and_comes_back_with_its_files(home: Home, run: Run):
    (before,) = ensure(home, "db-0")
    run("db-0", "echo kept > /var/lib/data; echo gone > /tmp/data; setsid sleep 302 & ")
    kill_init(before)
    assert [machine.state() for machine in machines.observe(home)] == ["dead"]
    with pytest.raises(client.MachineDownError):
        run("db-0", "true")
    (after,) = ensure(home, "db-0")
    assert (after.state(), after.address) == ("running", before.address)
    assert run("db-0", "cat /var/lib/data")[1] == "kept\n"
    assert run("db-0", "test -e /tmp/data")[0] == 1
    assert run("db-0", "pgrep -f 'sleep 30[2]'")[1] == ""


def test_after_the_computer_was_started_anew_a_machine_is_stopped_and_up_starts_it(home: Home, run: Run):
    ensure(home, "db-0")
    record = home.machine("db-0") / "machine.json"
    data = json.loads(record.read_text())
    machine = Machine.read(home.machine("db-0"))
    kill_init(machine)
    for process in ("init", "outer"):
        data[process]["boot"] = "an earlier one"
        data[process]["pid"] = os.getpid()  # recycled: must not be touched
    record.write_text(json.dumps(data))
    assert [machine.state() for machine in machines.observe(home)] == ["stopped"]
    assert [machine.name for machine in machines.restart(home)] == ["db-0"]
    assert run("db-0", "true")[0] == 0


def test_machines_survive_the_command_that_made_them(home: Home, run: Run):
    assert provider(home, "ensure", {"machines": [{"name": "db-0"}]}).returncode == 0
    assert run("db-0", "cat /proc/1/cmdline | tr '\\0' ' '")[0] == 0


def test_many_at_once_make_one_machine_each(home: Home):
    argv = [sys.executable, "-m", "orchestrator.lab.machines", "ensure"]
    env = {**os.environ, "ORCHESTRATOR_LAB_HOME": str(home.path)}
    running = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) for _ in range(4)]
    for number, popen in enumerate(running):
        request = {"machines": [{"name": "shared"}, {"name": f"own-{number}"}]}
        assert popen.stdin is not None
        popen.stdin.write(json.dumps(request).encode())
        popen.stdin.close()
    answers = [json.loads(popen.stdout.read()) for popen in running if popen.stdout]
    assert [popen.wait(60) for popen in running] == [0] * 4
    assert sum(answer["machines"][0]["changed"] for answer in answers) == 1
    assert {machine.name for machine in machines.observe(home)} == {"shared", *(f"own-{i}" for i in range(4))}


def test_a_home_with_a_long_path_works(tmp_path: Path):
    home = Home(tmp_path / ("long " * 20) / ("path" * 20))
    try:
        ensure(home, "a" * 63)
        assert client.communicate(home.machine("a" * 63), ["/bin/true"], b"", env={}, timeout=5)[0] == 0
    finally:
        whole.down(home)
    assert not home.path.exists()


def test_a_python_outside_of_usr_is_brought_along(home: Home, run: Run, monkeypatch: pytest.MonkeyPatch):
    brought = [python for python in sandbox._pythons() if python.prefix is not None]
    if not brought:
        pytest.skip("the Python that runs the tests is in /usr")
    monkeypatch.setattr(sandbox, "_pythons", lambda: brought)
    sandbox.choose.cache_clear()
    try:
        (machine,) = ensure(home, "db-0")
        assert machine.interpreter == brought[0].path
        said = run("db-0", f"{machine.interpreter} -c 'import ssl, sys; print(sys.prefix)'")
        assert said[1] == f"{brought[0].prefix}\n", said
    finally:
        sandbox.choose.cache_clear()


def test_down_leaves_no_process_and_no_file_also_when_a_record_is_lost(home: Home):
    ensure(home, "db-0", "db-1")
    lab = home.id()
    assert list(with_environment("ORCHESTRATOR_LAB", lab))
    (home.machine("db-1") / "machine.json").write_text("{")
    assert whole.down(home)
    assert not home.path.exists()
    assert list(with_environment("ORCHESTRATOR_LAB", lab)) == []
    assert str(home.path) not in Path("/proc/self/mountinfo").read_text()


def test_exec_takes_a_short_name_and_gives_the_commands_exit_code(home: Home):
    ensure(home, "lab-shop-db-0", "lab-shop-db-1")
    done = command_line(home, "exec", "db-1", "--", "sh", "-c", "cat /etc/hostname -; exit 5", input="in\n")
    assert (done.returncode, done.stdout) == (5, "lab-shop-db-1\nin\n")
    assert command_line(home, "exec", "lab-shop-db-0", "nosuch").returncode == 127
    for short, said in (
        ("shop", "there is no machine shop in the lab"),
        ("lab", "could be lab-shop-db-0, lab-shop-db-1"),
    ):
        with pytest.raises(LabError, match=said):
            machines.find(home, short)


def test_an_interrupt_reaches_the_command(home: Home):
    ensure(home, "db-0")
    argv = [sys.executable, "-c", "from orchestrator.cli.lab import lab; lab()", "exec", "db-0", "--", "sh", "-c"]
    script = "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.1; done"
    env = {**os.environ, "ORCHESTRATOR_LAB_HOME": str(home.path)}
    popen = subprocess.Popen([*argv, script], stdout=subprocess.PIPE, text=True, env=env)
    assert popen.stdout is not None
    assert popen.stdout.readline() == "ready\n"
    popen.send_signal(signal.SIGINT)
    assert popen.stdout.read() == "caught\n"
    assert popen.wait(10) == 3


PLAYBOOK = """
- hosts: all
  become: true
  tasks:
    - ansible.builtin.copy: {content: "ü\\n", dest: "/etc/with space ü", mode: "0640"}
    - ansible.builtin.copy: {src: big, dest: /srv/big, mode: "0644"}
    - ansible.builtin.fetch: {src: /srv/big, dest: back/, flat: false}
    - ansible.builtin.user: {name: redis, system: true}
    - ansible.builtin.command: hostname
      register: said
    - ansible.builtin.assert: {that: said.stdout == inventory_hostname}
"""


def test_ansible_gets_in_and_hosts_that_are_down_are_unreachable(home: Home, tmp_path: Path, run: Run):
    ensure(home, "db-0")
    (tmp_path / "big").write_bytes(os.urandom(1_500_000))
    done = play(home, tmp_path, PLAYBOOK)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "back/db-0/srv/big").read_bytes() == (tmp_path / "big").read_bytes()
    assert run("db-0", "cat '/etc/with space ü'")[1] == "ü\n"
    kill_init(machines.observe(home)[0])
    down = play(home, tmp_path, "- hosts: all\n  gather_facts: false\n  tasks: [ansible.builtin.ping: ]\n")
    assert down.returncode == 4
    assert "UNREACHABLE" in down.stdout
    assert "orchestrator lab up" in down.stdout + down.stderr


def test_a_frozen_machine_is_unreachable_after_its_time(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (machine,) = ensure(home, "db-0")
    assert machine.init is not None
    machine.init.signal(signal.SIGSTOP)
    monkeypatch.setenv("ORCHESTRATOR_LAB_TIMEOUT", "1")
    inventory(home, tmp_path)
    done = play(home, tmp_path, "- hosts: all\n  gather_facts: false\n  tasks: [ansible.builtin.ping: ]\n")
    assert done.returncode == 4
    assert "does not answer" in done.stdout + done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has more than one user id to give")
def test_as_root_files_have_real_owners_and_users_can_be_changed(home: Home, run: Run, sandboxes: sandbox.Way):
    if sandboxes.kind != "bubblewrap-root":
        pytest.skip(f"the best sandbox here is {sandboxes.kind}")
    ensure(home, "db-0")
    assert run("db-0", "chown www-data /srv && stat -c %U /srv")[1] == "www-data\n"
    assert run("db-0", "su www-data -s /bin/sh -c 'id -un'")[1] == "www-data\n"
