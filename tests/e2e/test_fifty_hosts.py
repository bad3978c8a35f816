"""The example of an inventory of fifty hosts, on real sshd: as a team uses it, and plain Ansible on the same estate."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.machines import rootfs
from tests.machines.fleet import Fleet

pytestmark = pytest.mark.lab

EXAMPLE = Path(__file__).parents[2] / "examples" / "fifty-hosts"
PROGRAMS = Path(sys.executable).parent


@dataclass
class Hosts:
    """A copy of the example, and the machines that its inventory names."""

    root: Path
    fleet: Fleet

    def run(self, *command: str, code: int = 0) -> str:
        """What a program of ours or of Ansible's prints in the estate's folder."""
        done = subprocess.run(
            [str(PROGRAMS / command[0]), *command[1:]], cwd=self.root, capture_output=True, text=True, timeout=570
        )
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout


@pytest.fixture(scope="module", params=[2, pytest.param(50, marks=pytest.mark.long)])
def hosts(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """All that is added to the example is where its hosts are; fewer than fifty are fewer in its documents as well."""
    if why := rootfs.why_not():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("fifty")
    root = folder / "estate"
    shutil.copytree(EXAMPLE, root)
    for path in (root / "hosts.yml", root / "site.yaml"):
        text = path.read_text().replace("[01:50]", f"[01:{request.param:02}]")
        path.write_text(text.replace("hosts: 50", f"hosts: {request.param}"))
    with Fleet(folder / "fleet") as fleet, fleet.entered():
        machines = [fleet.launch(f"web{n:02}", "sshd") for n in range(1, request.param + 1)]
        (root / "host_vars").mkdir()
        for machine in machines:
            fleet.wait_for(machine)
            (root / "host_vars" / f"{machine.name}.yml").write_text(yaml.safe_dump(machine.vars))
        yield Hosts(root, fleet)


def test_a_second_apply_has_nothing_to_do_and_starts_no_ansible(hosts: Hosts) -> None:
    count = len(hosts.fleet.machines)
    first = json.loads(hosts.run("orchestrator", "plan", "-o", "json"))
    assert first["summary"]["create"] == count
    hosts.run("orchestrator", "apply", "--yes")
    again = hosts.run("orchestrator", "apply", "--yes", "-o", "json").splitlines()
    end = json.loads(again[-1])
    assert (end["exit_code"], end["ansible_runs"], end["requests"]) == (0, 0, count), end
    drift = json.loads(hosts.run("orchestrator", "drift", "-o", "json"))
    assert (drift["changes"], drift["coverage"][0]["verified"], drift["coverage"][0]["total"]) == ([], 15, 15)


@pytest.mark.long
def test_one_host_by_hand_is_drift_and_is_mended_alone(hosts: Hosts) -> None:
    machine = hosts.fleet.machines["web02"]
    machine.run("echo by hand >/srv/base/issue")
    (change,) = json.loads(hosts.run("orchestrator", "drift", "-o", "json"))["changes"]
    assert change["address"] == "dc/base/stable/base/configuration/web02"
    hosts.run("orchestrator", "apply", "--yes")
    assert machine.run("cat /srv/base/issue") == "All access is logged.\n"
    assert json.loads(hosts.run("orchestrator", "drift", "-o", "json"))["changes"] == []


def test_plain_ansible_works_on_the_same_estate(hosts: Hosts) -> None:
    inventory = hosts.root / "inventory"
    inventory.write_text(f'#!/bin/sh\nexec {PROGRAMS}/orchestrator inventory -C {hosts.root} --ansible "$@"\n')
    inventory.chmod(0o755)
    play = hosts.root / "uptime.yml"
    play.write_text(
        "- hosts: workload_base:&site_dc\n  gather_facts: false\n"
        "  tasks: [{ansible.builtin.command: cat /srv/base/version, register: said},\n"
        "          {ansible.builtin.assert: {that: said.stdout == '1.0.0'}}]\n"
    )
    told = hosts.run("ansible-playbook", "-i", str(inventory), str(play))
    assert told.count("ok=2") == len(hosts.fleet.machines), told
    one = subprocess.run(
        [str(inventory), "--host", "web02"], capture_output=True, text=True, check=True, env=os.environ
    )
    variables = json.loads(one.stdout)
    assert variables["ansible_host"] == hosts.fleet.machines["web02"].address
    nobody = subprocess.run([str(inventory), "--host", "nobody"], capture_output=True, text=True, check=False)
    assert (nobody.returncode, json.loads(nobody.stdout)) == (0, {})
