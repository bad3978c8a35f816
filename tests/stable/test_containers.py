"""Containers on a real engine: podman with runc, its storage and images in a folder of the test."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.outcome import Result

pytestmark = pytest.mark.lab

# No network, no limits above those of the tests' own process, no overlay: so it runs wherever root does.
ENGINE = """
[containers]
netns = "none"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
"""
STORAGE = """
[storage]
driver = "vfs"
graphroot = "%s/images"
runroot = "%s/run"
"""
PLAY = """
    - hosts: all
      gather_facts: false
      tasks:
        - name: Shop
          containers.podman.podman_container:
            name: "{{ container }}"
            image: localhost/tiny:1
            command: sleep 1000
            env: {COLOUR: blue}
            restart_policy: "no"
            state: started
"""
PODMAN = ("podman", "runc", "busybox")

Podman = Callable[..., str]


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Podman]:
    """The program, as the playbook and the probe find it too, and the image `localhost/tiny:1`."""
    if os.geteuid() != 0 or (missing := [name for name in PODMAN if not shutil.which(name)]):
        pytest.skip("an engine takes root" if os.geteuid() else f"not installed: {', '.join(missing)}")
    (tmp_path / "containers.conf").write_text(ENGINE)
    (tmp_path / "storage.conf").write_text(STORAGE % (tmp_path, tmp_path))
    monkeypatch.setenv("CONTAINERS_CONF", str(tmp_path / "containers.conf"))
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(tmp_path / "storage.conf"))

    def run(*arguments: str) -> str:
        done = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    programs = tmp_path / "image" / "bin"
    programs.mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox")), programs / "busybox")
    (programs / "sleep").symlink_to("busybox")
    subprocess.run(["tar", "-C", str(programs.parent), "-cf", str(tmp_path / "image.tar"), "."], check=True)
    run("import", str(tmp_path / "image.tar"), "localhost/tiny:1")
    yield run
    run("rm", "--all", "--force", "--time", "0")
    run("rmi", "--all", "--force")


def test_a_container_is_verified_and_what_is_changed_of_it_by_hand_is_drift(
    podman: Podman, estate: Any, tools: Any
) -> None:
    name = f"shop-{uuid.uuid4().hex[:8]}"
    estate.write("play.yaml", PLAY)
    driver, unit = estate.driver(), estate.unit(vars={"container": name})

    def drift() -> dict[str, tuple[object, object]]:
        differences = tools.present(driver.observe([unit], []), unit).differences
        return {difference.path: (difference.old, difference.new) for difference in differences}

    outcome = tools.apply(driver, [unit])["h1"]
    assert outcome.result == Result.DONE, outcome
    assert (outcome.coverage.verified, outcome.coverage.total) == (1, 1)
    assert drift() == {}

    podman("stop", "--time", "0", name)
    assert drift() == {f"container {name}": ("exited", "running")}
    assert tools.apply(driver, [unit])["h1"].result == Result.DONE
    assert drift() == {}

    podman("rm", "--force", "--time", "0", name)
    assert list(drift()) == [f"container {name}"]
    again = ("run", "--detach", "--replace", "--name", name, "--env")
    podman(*again, "COLOUR=blue", "localhost/tiny:1", "sleep", "1000")
    assert drift() == {}, "another container, as declared"
    podman(*again, "COLOUR=red", "localhost/tiny:1", "sleep", "1000")
    assert list(drift()) == [f"container {name} declaration"]
    assert tools.apply(driver, [unit])["h1"].result == Result.DONE
    assert "COLOUR=blue" in podman("inspect", name, "--format", "{{.Config.Env}}")
    assert drift() == {}
