"""The probe straight over SSH: bastions, sudo, host keys, and what is left to Ansible's plugin."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.observation import Absent, Unreachable
from orchestrator.model.outcome import Result
from orchestrator.modes.stable.reach import ssh_settings
from orchestrator.modes.stable.reach.ssh_settings import settings_for

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh here")
PLAY = "- hosts: all\n  gather_facts: false\n  tasks: [{ansible.builtin.copy: {content: x, dest: /etc/made}}]\n"


@needs_ssh
def test_settings_are_those_that_ssh_itself_reads(tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.write_text("")
    config = tmp_path / "config"
    config.write_text(
        f"Host db-*\n  HostName %h.example\n  User deploy\n  Port 2200\n  UserKnownHostsFile {known}\n"
        "  ProxyJump ops@gate:2222\nHost gate\n  HostName 192.0.2.1\n"
    )
    found = settings_for("ssh", ["-F", str(config)], "db-1")
    assert found is not None
    assert (found.host, found.user, found.port) == ("db-1.example", "deploy", 2200)
    assert found.known_hosts is not None
    assert str(known) in found.known_hosts
    assert found.jump is not None
    assert (found.jump.host, found.jump.user, found.jump.port) == ("192.0.2.1", "ops", 2222)
    unchecked = settings_for("ssh", ["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "Port=7"], "db-1")
    assert unchecked is not None
    assert (unchecked.known_hosts, unchecked.port, unchecked.jump) == (None, 7, None)


@needs_ssh
@pytest.mark.parametrize(
    "args",
    [
        ["-o", "Ciphers=aes128-ctr"],
        ["-o", "BindAddress=127.0.0.2"],
        ["-o", "CertificateFile=/tmp/x"],
        ["-J", "one,two"],
        ["-o", "NoSuchOption=1"],
    ],
)
def test_what_is_not_understood_is_left_to_the_plugin(args: list[str]) -> None:
    assert settings_for("ssh", ["-F", "none", *args], "host") is None


def test_one_question_serves_all_hosts_only_where_no_configuration_is_about_single_ones(tmp_path: Path) -> None:
    for text, expected in (
        ("", True),
        ("Host *\n  SendEnv LANG\n", True),
        ("Host=*\n", True),
        ("host db\n  Port 2\n", False),
        ("Match exec true\n", False),
        ("Include other\n", False),
        ("HostName elsewhere\n", False),
    ):
        path = tmp_path / "config"
        path.write_text(text)
        assert ssh_settings._is_about_all(path) == expected, text


def _behind_a_bastion(estate: Any, fleet: Any, tmp_path: Path) -> Path:
    """`inner` is reached through `gate` as a user that has to give a password to sudo -> what ssh was called with."""
    inner = fleet.machines["inner"]
    inner.run(
        "id ops 2>/dev/null || useradd -m -s /bin/sh ops; echo ops:right | chpasswd;"
        "echo 'ops ALL=(ALL) ALL' >/etc/sudoers.d/ops; install -d -o ops -m 700 /home/ops/.ssh;"
        "install -o ops -m 600 /root/.ssh/authorized_keys /home/ops/.ssh/authorized_keys"
    )
    config, program = _through_gate(fleet, tmp_path)
    estate.write_inventory(
        {
            "inner": {
                "ansible_connection": "ssh",
                "ansible_host": inner.address,
                "ansible_user": "ops",
                "ansible_ssh_executable": str(program),
                "ansible_ssh_common_args": f"-F {config} -o ProxyJump=gate -o ControlPath={fleet.sockets}/%C",
                "ansible_become": True,
                "ansible_become_password": "right",
                "orchestrator_state_folder": "/var/lib/orchestrator",
            }
        }
    )
    return tmp_path / "called"


def _through_gate(fleet: Any, tmp_path: Path) -> tuple[Path, Path]:
    """A configuration of ssh that knows the bastion, and an ssh that writes down what it is called with."""
    known = fleet.folder / "known_hosts"
    config, program = tmp_path / "ssh_config", tmp_path / "ssh"
    config.write_text(
        # What goes to a bastion that is cut off would wait for it for ever.
        f"Host *\n  IdentityFile {fleet.folder / 'key'}\n  UserKnownHostsFile {known}\n  ServerAliveInterval 2\n"
        f"Host gate\n  HostName {fleet.machines['gate'].address}\n  User root\n"
    )
    program.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path / "called"}\nexec ssh "$@"\n')
    program.chmod(0o755)
    return config, program


def _running(fleet: Any, *names: str) -> None:
    new = [name for name in names if name not in fleet.machines]
    for name in new:
        fleet.launch(name, "sshd")
    for name in new:
        fleet.wait_for(fleet.machines[name])


@pytest.mark.lab
def test_a_host_behind_a_bastion_with_a_sudo_password(fleet: Any, tools: Any, tmp_path: Path) -> None:
    _running(fleet, "gate", "inner")
    estate = tools.Estate(tmp_path, ["inner"])
    called = _behind_a_bastion(estate, fleet, tmp_path)
    estate.write("play.yaml", PLAY)
    unit = estate.unit("inner")
    try:
        assert isinstance(estate.driver().observe([unit], []).units[unit.address], Absent)
        assert [line for line in called.read_text().splitlines() if not line.startswith("-G ")] == []
        outcome = tools.apply(estate.driver(), [unit])["inner"]
        assert outcome.result == Result.DONE, outcome
        assert tools.present(estate.driver().observe([unit], []), unit).stamp is not None
        inventory = tmp_path / "hosts.yml"
        inventory.write_text(inventory.read_text().replace('"right"', '"wrong"'))
        lost = estate.driver().observe([unit], []).units[unit.address]
        assert isinstance(lost, Unreachable)
        wrong = f"ssh {fleet.machines['inner'].address}:22: the become password is wrong (sudo to root); correct "
        assert lost.why == f"{wrong}`ansible_become_password`"
        fleet.cut("gate")
        os.environ["ORCHESTRATOR_HOST_TIMEOUT"] = "12"
        lost = estate.driver().observe([unit], []).units[unit.address]
        assert isinstance(lost, Unreachable)
        assert f"its bastion {fleet.machines['gate'].address}:22: timed out after 8 s" in lost.why
    finally:
        os.environ.pop("ORCHESTRATOR_HOST_TIMEOUT", None)
        fleet.heal("gate")
        estate.close()


@pytest.mark.lab
def test_an_agent_a_proxy_command_and_a_password_are_used_and_a_wrong_one_is_told(
    fleet: Any, tools: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    _running(fleet, "gate", "other")
    other, names = fleet.machines["other"], ["agent", "proxied", "password", "wrong"]
    other.run("useradd -m -s /bin/sh ops; echo ops:right | chpasswd")
    config, program = _through_gate(fleet, tmp_path)
    known = f"-o UserKnownHostsFile={fleet.folder / 'known_hosts'}"
    plain = {"ansible_connection": "ssh", "ansible_host": other.address, "ansible_ssh_executable": str(program)}
    keyed = {**plain, "ansible_user": "root", "orchestrator_state_folder": "/var/lib/orchestrator"}
    proxy = f"-F {config} -o 'ProxyCommand=ssh -F {config} -W %h:%p gate'"
    typed = {**plain, "ansible_user": "ops", "orchestrator_state_folder": "/home/ops", "ansible_ssh_common_args": known}
    with _agent(fleet.folder / "key") as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        estate = tools.Estate(tmp_path, names)
        estate.write_inventory(
            {
                "agent": {**keyed, "ansible_ssh_common_args": known},
                "proxied": {**keyed, "ansible_ssh_common_args": proxy},
                "password": {**typed, "ansible_password": "right"},
                "wrong": {**typed, "ansible_password": "no"},
            }
        )
        units = {name: estate.unit(name) for name in names}
        try:
            seen = estate.driver().observe([units[name] for name in names[:-1]], []).units
            assert [type(seen[units[name].address]) for name in names[:-1]] == [Absent] * 3, seen
            called = [line for line in (tmp_path / "called").read_text().splitlines() if not line.startswith("-G ")]
            assert called == [], f"none of them needs the plugin: {called}"
            lost = estate.driver().observe([units["wrong"]], []).units[units["wrong"].address]
            assert isinstance(lost, Unreachable)
            denied = f"ops@{other.address}: Permission denied (publickey,password)."
            assert lost.why == f"ssh {other.address}:22: {denied}", "the plugin tried as well, and says why"
        finally:
            estate.close()


@contextlib.contextmanager
def _agent(key: Path) -> Iterator[str]:
    """An agent that holds a key -> its socket."""
    folder = tempfile.mkdtemp(prefix="agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", f"{folder}/agent"], stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if Path(f"{folder}/agent").exists():
                break
            time.sleep(0.05)
        environment = {**os.environ, "SSH_AUTH_SOCK": f"{folder}/agent"}
        subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True)
        yield f"{folder}/agent"
    finally:
        agent.terminate()
        agent.wait()
        shutil.rmtree(folder)


@pytest.mark.lab
def test_host_keys_and_a_missing_python_are_told_for_what_they_are(fleet: Any, tools: Any, tmp_path: Path) -> None:
    estate = tools.on_machines(tmp_path, fleet, "plain")
    machine, unit = fleet.machines["plain"], estate.unit("plain")
    over = {"ansible_connection": "ssh", **machine.vars}
    try:
        estate.write_inventory({"plain": {**over, "ansible_python_interpreter": "/opt/python3"}})
        lost = estate.driver().observe([unit], []).units[unit.address]
        assert isinstance(lost, Unreachable)
        assert "there is no Python 3 on the host (" in lost.why
        changed = tmp_path / "known"
        changed.write_text(f"{machine.address} {(fleet.folder / 'key.pub').read_text()}")
        estate.write_inventory({"plain": {**over, "ansible_ssh_common_args": f"-o UserKnownHostsFile={changed}"}})
        lost = estate.driver().observe([unit], []).units[unit.address]
        assert isinstance(lost, Unreachable)
        assert (
            f"its host key has changed; if that is right, remove the old one: ssh-keygen -R {machine.address}"
            in lost.why
        )
        (tmp_path / "ansible.cfg").write_text("[defaults]\nhost_key_checking = false\n")
        assert isinstance(estate.driver().observe([unit], []).units[unit.address], Absent)
    finally:
        estate.close()
