"""Hosts behind a real sshd on loopback: keys, host keys, become."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.observation import Absent, Unreachable
from orchestrator.model.outcome import Result
from tests.e2e.watching import below, children

pytestmark = pytest.mark.lab


@pytest.fixture
def ssh(estate: Any, tmp_path: Path) -> Iterator[Any]:
    """The estate's host h1 is reached over ssh; `estate.stop()` freezes the server, `go_on` lets it go on."""
    program = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None or shutil.which("ssh") is None:
        pytest.skip("there is no sshd here (apt-get install openssh-server)")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    folder = tmp_path / "sshd"
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile {folder}/pid\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n"
    )
    server = subprocess.Popen([program, "-D", "-f", str(folder / "config"), "-E", str(folder / "log")])
    for _ in range(100):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    sockets = Path(tempfile.mkdtemp(prefix="o"))  # a socket's path may have 107 bytes only
    common = f"-o UserKnownHostsFile={folder}/known -o ControlPath={sockets}/%C"
    estate.reached = {
        "ansible_connection": "ssh",
        "ansible_port": port,
        "ansible_user": getpass.getuser(),
        "ansible_ssh_private_key_file": str(folder / "user"),
        "ansible_ssh_common_args": common,
    }
    estate.sshd, estate.ssh_folder = server, folder
    estate.write_inventory({"h1": estate.reached})
    estate.write(
        "play.yaml",
        "- hosts: all\n  gather_facts: false\n  tasks: [{ansible.builtin.copy: {content: x, dest: '{{ base }}/x'}}]\n",
    )
    yield estate
    for path in sockets.glob("*"):
        if path.is_socket():
            subprocess.run(["ssh", "-o", f"ControlPath={path}", "-O", "exit", "any"], capture_output=True, check=False)
    shutil.rmtree(sockets)
    server.kill()
    server.wait()


def test_a_host_behind_ssh_is_applied_seen_and_its_drift_found(ssh: Any, tools: Any) -> None:
    driver, unit = ssh.driver(), ssh.unit("h1")
    assert isinstance(driver.observe([unit], []).units[unit.address], Absent)
    outcome = tools.apply(driver, [unit])["h1"]
    assert outcome.result == Result.DONE, outcome
    started = time.monotonic()
    seen = ssh.driver().observe([unit], [])
    assert time.monotonic() - started < 10
    assert seen.tally.ansible_runs == 0
    assert tools.present(seen, unit).stamp is not None
    (ssh.host("h1") / "x").write_text("y")
    assert [d.path for d in tools.present(ssh.driver().observe([unit], []), unit).differences] == [
        f"{ssh.host('h1')}/x content"
    ]


def test_a_host_key_that_is_not_known_is_refused(ssh: Any, tools: Any) -> None:
    (ssh.ssh_folder / "known").write_text("")
    unit = ssh.unit("h1")
    found = ssh.driver().observe([unit], []).units[unit.address]
    assert isinstance(found, Unreachable)
    assert found.why.endswith("Host key verification failed.")


def test_a_wrong_key_is_said_in_one_line(ssh: Any, tools: Any) -> None:
    (ssh.ssh_folder / "authorized").write_text("")
    unit = ssh.unit("h1")
    found = ssh.driver().observe([unit], []).units[unit.address]
    assert isinstance(found, Unreachable)
    assert "Permission denied" in found.why
    assert found.why.startswith("ssh 127.0.0.1:")


def test_a_host_that_hangs_is_given_up_and_the_others_answer(ssh: Any, tools: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOST_TIMEOUT", "2")
    ssh.sshd.send_signal(signal.SIGSTOP)
    try:
        units = [ssh.unit("h1"), ssh.unit("h2")]
        started = time.monotonic()
        seen = ssh.driver().observe(units, [])
        assert time.monotonic() - started < 9
    finally:
        ssh.sshd.send_signal(signal.SIGCONT)
    lost = seen.units[units[0].address]
    assert isinstance(lost, Unreachable)
    assert lost.why == f"ssh 127.0.0.1:{ssh.reached['ansible_port']}: timed out after 2 s"
    assert isinstance(seen.units[units[1].address], Absent)


def test_become_of_the_inventory_is_used_by_the_probe(ssh: Any, tools: Any) -> None:
    if os.geteuid() != 0 or shutil.which("su") is None:
        pytest.skip("only root becomes somebody else without a password")
    ssh.host("h1").chmod(0o777)
    for folder in [ssh.root, *ssh.root.parents][:4]:
        folder.chmod(folder.stat().st_mode | 0o011)
    ssh.write_inventory(
        {
            "h1": {
                **ssh.reached,
                "ansible_become": True,
                "ansible_become_method": "su",
                "ansible_become_user": "nobody",
                "ansible_become_flags": "-s /bin/sh",
                "ansible_remote_tmp": "/tmp/.ansible-nobody",
            }
        }
    )
    unit = ssh.unit("h1", playbook=None, ready=[{"command": "test $(id -un) = nobody", "within": 1.0}])
    outcome = tools.apply(ssh.driver(), [unit])["h1"]
    assert outcome.result == Result.DONE, outcome


def sessions(ssh: Any) -> list[int]:
    """The server's processes that serve connections; where it has no more rights than a user, two for each."""
    found = []
    for pid in below(ssh.sshd.pid):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "sshd":
                found.append(pid)
    return found


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def test_a_host_is_asked_again_over_the_connection_that_is_there_and_over_a_new_one_where_it_hangs_or_has_gone(
    ssh: Any, tools: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOST_TIMEOUT", "9")
    driver, unit = ssh.driver(), ssh.unit("h1")
    driver.observe([unit], [])
    first = sessions(ssh)
    assert len(children(ssh.sshd.pid)) == 1, "the probe stays for the next question"
    driver.observe([unit], [])
    assert sessions(ssh) == first
    signal_all(first, signal.SIGSTOP)
    assert isinstance(driver.observe([unit], []).units[unit.address], Absent)
    signal_all(first, signal.SIGKILL)
    second = set(sessions(ssh)) - set(first)
    assert second
    signal_all(second, signal.SIGKILL)
    assert isinstance(driver.observe([unit], []).units[unit.address], Absent)
    assert not second & set(sessions(ssh))
    ssh.close()
    for _ in range(100):
        if not sessions(ssh):
            break
        time.sleep(0.05)
    assert sessions(ssh) == [], "nothing stays when the command has ended"


def cut_in_mid_play(ssh: Any, tools: Any, number: signal.Signals) -> tuple[Any, list[int]]:
    """The outcome of a play whose connections get a signal while a task runs, and the processes that got it."""
    ssh.write(
        "play.yaml",
        """\
        - hosts: all
          gather_facts: false
          tasks:
            - name: Before
              ansible.builtin.copy: {content: x, dest: "{{ base }}/x"}
              notify: Restarted
            - name: Long
              ansible.builtin.shell: touch {{ base }}/began; test -e {{ base }}/short || sleep 60
          handlers:
            - name: Restarted
              ansible.builtin.shell: echo restarted >> {{ base }}/restarts
        """,
    )
    reached: list[int] = []
    ended = threading.Event()

    def cut() -> None:
        while not (ssh.host("h1") / "began").exists():
            time.sleep(0.05)
        while not ended.wait(0.05):  # Ansible tries once more where it was just about to write
            more = set(sessions(ssh)) - set(reached)
            reached.extend(more)
            signal_all(more, number)

    cutter = threading.Thread(target=cut)
    cutter.start()
    outcome = tools.apply(ssh.driver(), [ssh.unit("h1")])["h1"]
    ended.set()
    cutter.join()
    return outcome, reached


def finishes_with_another_apply(ssh: Any, tools: Any) -> None:
    (ssh.host("h1") / "short").touch()
    outcome = tools.apply(ssh.driver(), [ssh.unit("h1")])["h1"]
    assert outcome.result == Result.DONE, outcome
    assert (ssh.host("h1") / "restarts").read_text() == "restarted\n"


def test_a_host_that_goes_down_in_mid_play_is_lost_and_the_next_apply_finishes(ssh: Any, tools: Any) -> None:
    outcome, _ = cut_in_mid_play(ssh, tools, signal.SIGKILL)
    assert (outcome.result, outcome.task) == (Result.UNREACHABLE, "Long"), outcome
    finishes_with_another_apply(ssh, tools)


@pytest.mark.long
def test_a_connection_that_hangs_in_mid_play_is_given_up_and_the_next_apply_finishes(ssh: Any, tools: Any) -> None:
    """Also where connections are not shared, so that no probe's settings count for the play."""
    ssh.write_inventory({"h1": {**ssh.reached, "ansible_ssh_args": "-o ControlMaster=no -o ControlPath=none"}})
    outcome, stopped = cut_in_mid_play(ssh, tools, signal.SIGSTOP)
    signal_all(stopped, signal.SIGKILL)
    assert (outcome.result, outcome.task) == (Result.UNREACHABLE, "Long"), outcome
    finishes_with_another_apply(ssh, tools)
