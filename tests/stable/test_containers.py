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
    assert drift() == {f"container {name}": ("stopped", "running")}
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


STATES = """
    - hosts: all
      gather_facts: false
      module_defaults:
        containers.podman.podman_container: {image: "localhost/tiny:1", command: sleep 1000, stop_timeout: 0}
      tasks:
        - {name: Web, containers.podman.podman_container: {name: "{{ id }}-web", restart_policy: "on-failure:3"}}
        - {name: Made, containers.podman.podman_container: {name: "{{ id }}-made", state: created}}
        - {name: There, containers.podman.podman_container: {name: "{{ id }}-there", state: present}}
        - {name: Spare, containers.podman.podman_container: {name: "{{ id }}-spare", state: stopped}}
        - {name: Old, containers.podman.podman_container: {name: "{{ id }}-old", state: absent}}
"""
RUN = "run --detach --replace --name {id}-web --restart"
# What is done by hand, one after the other -> all differences that are told then.
BY_HAND = {
    "pause {id}-web": ["web"],
    "unpause {id}-web": [],
    f"{RUN} on-failure:3 localhost/tiny:1 sleep 1000": [],
    f"{RUN} on-failure:5 localhost/tiny:1 sleep 1000": ["web restart policy"],
    f"{RUN} on-failure:3 localhost/tiny:2 sleep 1000": ["web image"],
    f"{RUN} on-failure:3 localhost/tiny:1 sleep 1001": ["web declaration"],
    f"{RUN} on-failure:3 localhost/tiny:1 sleep 1000 ": [],
    # Whether these run is not said.
    "start {id}-made {id}-there": [],
    "start {id}-spare": ["spare"],
    "stop --time 0 {id}-spare": [],
    "rm --force --time 0 {id}-made": ["made"],
    "create --name {id}-old localhost/tiny:1 sleep 1000": ["made", "old"],
}


def test_a_container_is_compared_by_what_its_task_says_and_an_engine_that_is_away_has_lost_none(
    podman: Podman, estate: Any, tools: Any, tmp_path: Path
) -> None:
    name = f"shop-{uuid.uuid4().hex[:8]}"
    podman("tag", "localhost/tiny:1", "localhost/tiny:2")
    estate.write("play.yaml", STATES)
    unit = estate.unit(vars={"id": name})
    driver = estate.driver()

    def drift() -> dict[str, object]:
        differences = tools.present(driver.observe([unit], []), unit).differences
        return {one.path.removeprefix(f"container {name}-"): one.old for one in differences}

    outcome = tools.apply(driver, [unit])["h1"]
    assert outcome.result == Result.DONE, outcome
    assert (outcome.coverage.verified, outcome.coverage.unverified) == (5, ())
    assert drift() == {}
    wrong = {}
    for command, told in BY_HAND.items():
        podman(*command.format(id=name).split())
        if (found := sorted(drift())) != told:
            wrong[command] = found
    assert not wrong
    settings = tmp_path / "storage.conf"
    good = settings.read_text()
    settings.write_text("nothing")
    try:
        assert set(drift().values()) == {"unknown"}
    finally:
        settings.write_text(good)
