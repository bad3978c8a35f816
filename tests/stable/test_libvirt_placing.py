"""Which hypervisor each new libvirt machine goes to: the provider's own tasks in real Ansible, without libvirt."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.documents.providers import BUILT_IN

ESTATE = "e-1"
TELL = (
    "{{ dict(groups.machines | zip(groups.machines | map('extract', hostvars) | map(attribute='guest.hypervisor'))) }}"
)


def placed(tmp_path: Path, free: Mapping[str, int], memory: Mapping[str, int], kept: Mapping[str, str]) -> Any:
    """Where machines of this much memory go; `free` of each hypervisor, `kept`: machine -> where its kept disk is."""
    hypervisors = {}
    for host, left in free.items():
        volumes = [f"{name}.data.{ESTATE}.qcow2" for name, at in kept.items() if at == host]
        there = {"host": {"free": left}, "machines": [], "pools": {"default": {"volumes": volumes}}}
        hypervisors[host] = {"there": there}
    shared = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "orchestrator_estate": ESTATE,
        "orchestrator_machines": [{"name": name, "bytes": {"memory": size}} for name, size in memory.items()],
        "pool": "default",
        "disks": {"data": {"size": "1Gi", "keep": True}},
    }
    inventory = {
        "hypervisors": {"hosts": hypervisors},
        "machines": {"hosts": {name: {} for name in memory}, "vars": shared},
    }
    (tmp_path / "hosts.yml").write_text(json.dumps(inventory))
    tasks = [
        {"ansible.builtin.include_tasks": str(BUILT_IN / "libvirt" / "tasks" / "place.yml")},
        {"ansible.builtin.copy": {"content": TELL, "dest": str(tmp_path / "placed")}, "run_once": True},
    ]
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "machines", "gather_facts": False, "tasks": tasks}]))
    (tmp_path / "templates").symlink_to(BUILT_IN / "libvirt" / "templates")
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    done = subprocess.run(
        [program, "-i", "hosts.yml", "play.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((tmp_path / "placed").read_text())


def test_a_machine_that_goes_to_its_kept_disk_counts_there_for_all_that_are_dealt(tmp_path: Path) -> None:
    memory = {"app-0": 1, "db-0": 50, "web-0": 10, "web-1": 60, "zoo-0": 70}
    found = placed(tmp_path, {"kvm-1": 200, "kvm-2": 180}, memory, {"db-0": "kvm-2", "zoo-0": "kvm-2"})
    assert found == {"app-0": "kvm-1", "db-0": "kvm-2", "web-0": "kvm-1", "web-1": "kvm-1", "zoo-0": "kvm-2"}


def test_machines_without_a_disk_of_their_own_are_dealt_by_name(tmp_path: Path) -> None:
    memory = {"c": 10, "a": 10, "b": 10}
    assert placed(tmp_path, {"kvm-1": 100, "kvm-2": 95}, memory, {}) == {"a": "kvm-1", "b": "kvm-2", "c": "kvm-1"}
