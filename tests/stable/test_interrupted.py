"""What is left behind when something is killed, and that the next apply goes on from there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.observation import Absent
from orchestrator.model.outcome import Result
from tests.waiting import until

pytestmark = pytest.mark.lab

# The handler's task has changed something, its handler has not run, and the play hangs until it is killed.
PLAY = """
    - hosts: all
      gather_facts: false
      tasks:
        - name: Settings
          ansible.builtin.copy: {content: "{{ port }}", dest: "{{ base }}/conf"}
          notify: Restart
        - name: Long
          ansible.builtin.shell: |
            test -e {{ base }}/go && exit 0
            echo $$ > {{ base }}/hanging
            exec sleep 300
      handlers:
        - name: Restart
          ansible.builtin.shell: cat {{ base }}/conf >> {{ base }}/restarts
"""

CHILD = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest
estate = conftest.Estate(Path(sys.argv[2]))
units = [estate.unit(host, vars={"port": 6379}) for host in ("h1", "h2")]
print(conftest.apply(estate.driver(), units), flush=True)
estate.close()
"""


def hangs(*hosts: Path) -> Callable[[], bool]:
    """Whether the play hangs on all these hosts: the shell makes the file first, and writes its pid after that."""
    files = [host / "hanging" for host in hosts]
    return lambda: all(file.exists() and file.read_text().endswith("\n") for file in files)


def processes_of(root: Path) -> list[str]:
    """Command lines of processes that have anything to do with this test's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            text = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (entry / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if (
            entry.name != str(os.getpid())
            and str(root) in text + environment
            and "pytest" not in text.split(str(root))[0]
        ):
            found.append(text)
    return found


@pytest.fixture
def hanging(estate: Any) -> Any:
    """A process that applies, and hangs between a task and its handler on both hosts."""
    estate.write("play.yaml", PLAY)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(estate.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    until(hangs(estate.host("h1"), estate.host("h2")), "the play hangs")
    yield estate, child
    if child.poll() is None:
        child.kill()
    child.communicate()


def test_killed_between_a_task_and_its_handler_the_next_apply_runs_the_handler(hanging: Any, tools: Any) -> None:
    estate, child = hanging
    sleeping = [int((estate.host(name) / "hanging").read_text()) for name in ("h1", "h2")]
    child.send_signal(signal.SIGKILL)
    child.wait()
    # Nothing keeps changing things, and nothing of the run is left.
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in sleeping), "the tasks end", 10)
    until(lambda: not [text for text in processes_of(estate.root) if "ansible" in text], "no orphan", 10)
    until(lambda: not list(Path("/dev/shm").glob(f"orchestrator-run-{child.pid}-*")), "no folder", 10)
    driver = estate.driver()
    units = [estate.unit(host, vars={"port": 6379}) for host in ("h1", "h2")]
    seen = driver.observe(units, [])
    assert [tools.present(seen, unit).pending for unit in units] == [("Restart",), ("Restart",)]
    (estate.host("h1") / "go").touch()
    (estate.host("h2") / "go").touch()
    outcomes = tools.apply(driver, units)
    assert {name: o.result for name, o in outcomes.items()} == {"h1": Result.DONE, "h2": Result.DONE}, outcomes
    for name in ("h1", "h2"):
        assert (estate.host(name) / "restarts").read_text() == "6379"
    after = driver.observe(units, [])
    assert [tools.present(after, unit).pending for unit in units] == [(), ()]
    left = [json.loads(path.read_text())["hosts"] for path in (estate.scratch / "handlers").iterdir()]
    assert left == [{"h1": ["Restart"], "h2": ["Restart"]}], "only the killed run's journal is left"


def test_without_the_journal_all_handlers_of_an_interrupted_run_run(hanging: Any, tools: Any) -> None:
    estate, child = hanging
    child.send_signal(signal.SIGKILL)
    child.wait()
    for path in (estate.scratch / "handlers").iterdir():
        path.unlink()
    driver, unit = estate.driver(), estate.unit("h1", vars={"port": 6379})
    assert tools.present(driver.observe([unit], []), unit).pending == ("those of an interrupted run",)
    (estate.host("h1") / "go").touch()
    assert tools.apply(driver, [unit])["h1"].result == Result.DONE
    assert (estate.host("h1") / "restarts").read_text() == "6379"


def test_closing_the_driver_ends_its_runs_as_interrupted(hanging: Any, tools: Any) -> None:
    estate, child = hanging
    child.kill()
    child.wait()
    for name in ("h1", "h2"):
        (estate.host(name) / "hanging").unlink()
    driver, unit = estate.driver(), estate.unit("h1", vars={"port": 6379})
    box: list[Any] = []
    thread = threading.Thread(target=lambda: box.append(tools.apply(driver, [unit])["h1"]))
    thread.start()
    until(hangs(estate.host("h1")), "the play hangs")
    driver.close()
    thread.join(timeout=30)
    assert box[0].result == Result.INTERRUPTED
    assert tools.present(estate.driver().observe([unit], []), unit).pending == ("Restart",)


def test_an_interrupted_run_that_notified_nothing_leaves_nothing_pending(estate: Any, tools: Any) -> None:
    estate.write("play.yaml", PLAY.replace("notify: Restart", "register: unused"))
    unit, driver = estate.unit("h1", vars={"port": 1}), estate.driver()
    thread = threading.Thread(target=lambda: tools.apply(driver, [unit]))
    thread.start()
    until(hangs(estate.host("h1")), "the play hangs")
    os.kill(json.loads((estate.host("h1") / "hanging").read_text()), signal.SIGTERM)
    thread.join(timeout=60)
    assert isinstance(estate.driver().observe([unit], []).units[unit.address], Absent)
