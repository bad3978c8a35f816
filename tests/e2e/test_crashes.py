"""Killed at any moment, the next apply finishes the work: nothing twice, nothing left running."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Estate
from tests.e2e.watching import children

pytestmark = pytest.mark.lab

# Loaded by Python itself in the CLI's process: dies by SIGKILL at one boundary of the journal.
KILLER = """
import os, signal, sys
if "apply" in sys.argv:
    from orchestrator.state import Store
    boundaries = [int(os.environ["KILL_AT"])]
    def deadly(method):
        inner = getattr(Store, method)
        def wrapped(self, *args, **kwargs):
            boundary(); result = inner(self, *args, **kwargs); boundary()
            return result
        setattr(Store, method, wrapped)
    def boundary():
        boundaries[0] -= 1
        if boundaries[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    for method in ("begin_run", "intend", "finish", "save", "end_run"):
        deadly(method)
"""


@pytest.fixture
def killer(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "killer"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(KILLER)
    return {"PYTHONPATH": str(folder)}


def everything_below(pid: int) -> set[int]:
    found, todo = set(), [pid]
    while todo:
        for child in children(todo.pop()):
            found.add(child)
            todo.append(child)
    return found


def alive(pids: set[int]) -> set[str]:
    """The programs of a killed run that still run; what a machine runs for itself is the machine's."""
    found = set()
    for pid in pids:
        try:
            line = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if any(word in line for word in ("ansible", "pulumi", "orchestrator.modes")):
            found.add(line)
    return found


def converged(estate: Estate) -> None:
    estate.apply()
    assert estate.plan() == {}
    assert (
        estate.field("deployment/web", "{.spec.template.spec.containers[0].env[0].value}")
        == estate.machine("db-0")["address"]
    )
    machines = estate("lab", "status", "-o", "json").data["machines"]
    assert sorted(m["name"].rpartition("-")[2] for m in machines if "shop-db" in m["name"]) == ["0", "1"]
    revisions = estate.kubectl("--namespace", "shop", "get", "deployments", "-o", "name").split()
    assert revisions == ["deployment.apps/web"]


def test_killed_at_every_boundary_of_the_journal_the_next_apply_goes_on(estate: Estate, killer: dict[str, str]) -> None:
    """Each round is killed one boundary later than the one before got to, until a run is not killed any more."""
    rounds = 0
    for boundary in range(1, 200):
        ran = estate("apply", "--yes", KILL_AT=str(boundary), **killer)
        if ran.code == 0:
            break
        ran.ended(-signal.SIGKILL)
        rounds += 1
    assert rounds >= 4
    converged(estate)


def test_killed_in_every_wave_the_next_apply_goes_on_and_no_process_stays(estate: Estate) -> None:
    """Killed from outside while Ansible runs, and while Pulumi runs."""
    for program in ("ansible-playbook", "pulumi"):
        process = estate.start("apply", "--yes")
        seen: set[int] = set()
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            seen |= everything_below(process.pid)
            if any(program in line for line in alive(seen)):
                break
            time.sleep(0.01)
        seen |= everything_below(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        estate.ended(process)
        wait_for_end(seen)
    converged(estate)


def wait_for_end(pids: set[int]) -> None:
    for _ in range(100):
        if not alive(pids):
            return
        time.sleep(0.1)
    raise AssertionError(f"still running: {alive(pids)}")


def test_killed_between_a_task_and_its_handler_the_handler_runs_the_next_time(estate: Estate) -> None:
    estate.apply()
    restarts = {m: estate.on(m, "wc -l < /var/tmp/restarts").strip() for m in ("db-0", "db-1")}
    for machine in restarts:
        estate.on(machine, "touch /var/tmp/wait")
    estate.write("blueprints/shop/blueprint.yaml", "default: hello", "default: hi")
    process = estate.start("apply", "--yes")
    deadline = time.monotonic() + 120
    while "greeting hi" not in estate.on("db-0", "cat /etc/db.conf") and time.monotonic() < deadline:
        time.sleep(0.05)
    while "greeting hi" not in estate.on("db-1", "cat /etc/db.conf") and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    seen = everything_below(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    estate.ended(process)
    wait_for_end(seen)
    for machine in restarts:
        estate.on(machine, "rm -f /var/tmp/wait")
    assert {m: estate.on(m, "wc -l < /var/tmp/restarts").strip() for m in restarts} == restarts
    ran = estate("plan")
    assert "pending handlers" in ran.out, ran
    estate.apply()
    for machine, before in restarts.items():
        assert int(estate.on(machine, "wc -l < /var/tmp/restarts")) == int(before) + 1
    assert estate.plan() == {}


def test_ctrl_c_ends_in_good_order_and_the_next_apply_goes_on(estate: Estate) -> None:
    process = estate.start("apply", "--yes")
    deadline = time.monotonic() + 120
    seen: set[int] = set()
    while process.poll() is None and time.monotonic() < deadline:
        seen |= everything_below(process.pid)
        if any("ansible-playbook" in line for line in alive(seen)):
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    ran = estate.ended(process)
    ran.ended(130)
    assert "Stopping" in ran.err
    wait_for_end(seen)
    assert "interrupted" in estate("history").out
    converged(estate)
