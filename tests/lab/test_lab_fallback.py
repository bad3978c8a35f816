"""Machines where namespaces are refused: proot."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from orchestrator.lab import machines
from orchestrator.lab.home import Home
from orchestrator.lab.processes import with_environment
from tests.lab.helping import REPOSITORY, command_line, play, provider, without_namespaces

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(shutil.which("proot") is None, reason="proot is not installed (apt-get install proot)"),
]


def test_where_namespaces_are_refused_proot_is_taken_and_what_is_weaker_is_said():
    code = "from orchestrator.lab.sandbox import choose; way = choose(); print(way.kind); print(way.weaker)"
    done = without_namespaces([sys.executable, "-c", code], cwd=REPOSITORY)
    assert done.stdout.splitlines()[0] == "proot", done.stderr
    assert "pretended" in done.stdout


def test_without_any_way_the_error_names_those_tried():
    code = "from orchestrator.lab.sandbox import choose; choose()"
    env = {**os.environ, "PATH": "/nowhere"}
    done = without_namespaces([sys.executable, "-c", code], cwd=REPOSITORY, env=env)
    assert done.returncode == 1
    assert "no kind of sandbox works here" in done.stderr
    assert "bubblewrap-user" in done.stderr
    assert "apt-get install proot" in done.stderr


PLAYBOOK = """
- hosts: all
  become: true
  tasks:
    - ansible.builtin.copy: {content: "x\\n", dest: /etc/x.conf, mode: "0640", owner: root}
    - ansible.builtin.file: {path: /usr/lab-test-was-here, state: touch, mode: "0644"}
      register: outside
      ignore_errors: true
    - ansible.builtin.assert: {that: outside is failed}
    - ansible.builtin.shell: setsid sleep 303 & echo started
"""


def test_a_proot_machine_runs_ansible_and_leaves_nothing_behind(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ORCHESTRATOR_LAB_SANDBOX", "proot")
    answer = json.loads(provider(home, "ensure", {"machines": [{"name": "db-0"}]}).stdout)["machines"][0]
    assert (answer["state"], answer["changed"]) == ("running", True)
    done = play(home, tmp_path, PLAYBOOK)
    assert done.returncode == 0, done.stdout
    assert not Path("/usr/lab-test-was-here").exists()
    assert command_line(home, "exec", "db-0", "--", "cat", "/etc/x.conf").stdout == "x\n"
    place = Path(machines.observe(home)[0].place)
    assert (place / "disk/etc/x.conf").read_text() == "x\n"
    lab = home.id()
    assert len(list(with_environment("ORCHESTRATOR_LAB", lab))) >= 3
    assert command_line(home, "down").returncode == 0
    assert list(with_environment("ORCHESTRATOR_LAB", lab)) == []
    assert not place.exists()
    assert not place.parent.exists()
