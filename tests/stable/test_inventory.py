"""Ansible inventories as people write them, and leases on hosts."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import DriverError
from orchestrator.model.outcome import Lease
from orchestrator.modes.stable import inventory
from orchestrator.modes.stable.reach.reaching import Reach


@pytest.fixture
def reach(tmp_path: Path) -> Any:
    made = Reach(tmp_path, lambda text: text)
    yield made
    made.close()


def started(reach: Reach) -> subprocess.Popen[str]:
    assert reach._worker is not None
    return reach._worker.process


def test_hosts_are_read_in_order_with_groups_and_addresses(reach: Reach, tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text(
        """
        db:
          hosts:
            z: {ansible_host: 10.0.0.2}
            a: {ansible_host: "{{ inventory_hostname }}.example"}
          vars: {locked: !vault "$ANSIBLE_VAULT;1.1;AES256\\n616161"}
        web: {children: {front: {hosts: {"w[1:2]": {}}}}}
        """
    )
    ini = tmp_path / "hosts.ini"
    ini.write_text("[db]\none ansible_host=10.0.0.9\n")
    found = inventory.read(reach, {"x": path, "y": ini, "again": path})
    assert found["x"] == {
        "z": {"address": "10.0.0.2", "groups": ["all", "db"]},
        "a": {"address": "a.example", "groups": ["all", "db"]},
        "w1": {"address": "w1", "groups": ["all", "front", "web"]},
        "w2": {"address": "w2", "groups": ["all", "front", "web"]},
    }
    assert list(found["x"]) == ["z", "a", "w1", "w2"]
    assert found["y"] == {"one": {"address": "10.0.0.9", "groups": ["all", "db"]}}
    assert found["again"] == found["x"]


def test_an_inventory_that_is_not_there_or_not_one_is_an_error(reach: Reach, tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="no such file"):
        inventory.read(reach, {"x": tmp_path / "nope.yml"})
    (tmp_path / "bad.yml").write_text("a: [")
    with pytest.raises(DriverError, match=r"bad\.yml"):
        inventory.read(reach, {"x": tmp_path / "bad.yml"})


def test_the_worker_ends_with_its_owner_and_is_started_again(reach: Reach, tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("one\n")
    inventory.read(reach, {"x": tmp_path / "hosts.ini"})
    process = started(reach)
    process.kill()
    process.wait()
    assert inventory.read(reach, {"x": tmp_path / "hosts.ini"})["x"].keys() == {"one"}
    second = started(reach)
    reach.close()
    assert second.poll() is not None


def test_a_secret_in_our_environment_does_not_reach_the_worker(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "c4nary-value")
    reach = Reach(tmp_path, lambda text: text.replace("c4nary-value", "*"))
    (tmp_path / "hosts.ini").write_text("one\n")
    inventory.read(reach, {"x": tmp_path / "hosts.ini"})
    assert b"c4nary-value" not in Path(f"/proc/{started(reach).pid}/environ").read_bytes()
    reach.close()


def test_a_lease_on_a_host_refuses_the_other_until_it_is_released(estate: Any) -> None:
    first, second, unit = estate.driver(), estate.driver(), estate.unit("h1")
    alive = f"me@{socket.gethostname()} pid {os.getpid()} started "
    alive += Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    mine = Lease("here", alive, 1, 1, time.time(), time.time() + 60)
    theirs = replace(mine, holder="you@elsewhere pid 1 started 1", run=2)
    assert first.take(mine) is None, "there is no host yet to put it on"
    first.observe([unit], [])
    second.observe([unit], [])
    assert first.take(mine) is None
    held = second.take(theirs)
    assert held is not None
    assert (held.holder, held.run) == (alive, 1)
    assert abs(held.until - mine.until) < 5
    first.release(mine)
    assert second.take(theirs) is None
    assert first.take(mine) is not None
    second.release(theirs)
    dead = replace(mine, holder=alive.rsplit(" ", 1)[0] + " 1")
    assert first.take(dead) is None
    assert second.take(theirs) is None, "a dead holder of this computer holds nothing"
