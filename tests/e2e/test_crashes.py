"""Killed or stopped at any moment, the next apply finishes the work: nothing twice, nothing left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.e2e.conftest import Estate, Ran
from tests.e2e.watching import below

pytestmark = pytest.mark.lab

# Loaded by Python itself in the CLI's process, which dies by SIGKILL at the first boundary of the journal where none
# has died before. After `save` is no boundary of its own: `finish` is called with nothing in between.
KILLER = """
import json, os, signal, sys
from pathlib import Path
if "apply" in sys.argv and "DEATHS" in os.environ:
    from orchestrator.state import Store
    from tests.e2e.watching import below
    deaths = Path(os.environ["DEATHS"])
    def boundary(name):
        if name in [json.loads(line)["at"] for line in deaths.read_text().splitlines()]:
            return
        with deaths.open("a") as file:
            file.write(json.dumps({"at": name, "below": below(os.getpid())}) + "\\n")
        os.kill(os.getpid(), signal.SIGKILL)
    def deadly(method, unit, *moments):
        inner = getattr(Store, method)
        def wrapped(self, *arguments):
            if arguments[-1] is None:  # seen, not done: no part of a run
                return inner(self, *arguments)
            name = f"{method} {unit(arguments)}".strip()
            if "before" in moments:
                boundary(f"before {name}")
            result = inner(self, *arguments)
            if "after" in moments:
                boundary(f"after {name}")
            return result
        setattr(Store, method, wrapped)
    deadly("begin_run", lambda arguments: "", "before", "after")
    deadly("intend", lambda arguments: arguments[1].address, "before", "after")
    deadly("save", lambda arguments: arguments[0].address, "before")
    deadly("finish", lambda arguments: arguments[1].address, "before", "after")
    deadly("end_run", lambda arguments: arguments[1], "before", "after")
"""
STABLE = ("lab/shop/stable/db/machine/db-0", "lab/shop/stable/db/configuration/db-0")
UNITS = (*STABLE, "lab/shop/agile/web/Deployment.apps/shop/web")
ENDS = ("end_run interrupted", "end_run done")  # of the run that was killed, of the one that goes on


def boundaries(units: Sequence[str]) -> set[str]:
    return {
        *(f"{moment} intend {unit}" for moment in ("before", "after") for unit in units),
        *(f"{moment} {unit}" for moment in ("before save", "before finish", "after finish") for unit in units),
    }


BOUNDARIES = boundaries(UNITS) | {f"{at} {write}" for at in ("before", "after") for write in ("begin_run", *ENDS)}


def alive(pids: set[int], until: float = float("inf")) -> set[str]:
    """The programs of a run that still run; what a machine runs for itself is the machine's.

    What began later than `until` (s after the computer did) is another test's, under a number that was free again.
    """
    found = set()
    for pid in pids:
        try:
            if begun(pid) > until:
                continue
            line = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if any(word in line for word in ("ansible", "pulumi", "orchestrator.modes")):
            found.add(line)
    return found


def begun(pid: int) -> float:
    """When a process began, in seconds after the computer did. Raises OSError where it is gone."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return int(ticks) / os.sysconf("SC_CLK_TCK")


def wait_for_end(pids: set[int]) -> None:
    now = float(Path("/proc/uptime").read_text().split()[0])
    for _ in range(100):
        if not alive(pids, now):
            return
        time.sleep(0.1)
    raise AssertionError(f"still running: {alive(pids, now)}")


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


def start_until(estate: Estate, *words: str) -> tuple[subprocess.Popen[str], set[int]]:
    """An apply, at the moment when a process with these words in its command line is seen; all that it has started."""
    process = estate.start("apply", "--yes")
    seen: set[int] = set()

    def is_seen() -> bool:
        now = set(below(process.pid))
        seen.update(now)
        return any(all(word in line for word in words) for line in alive(now))

    wait_until(is_seen, process)
    return process, seen


def kill(estate: Estate, process: subprocess.Popen[str], seen: set[int]) -> None:
    seen.update(below(process.pid))
    process.kill()
    estate.ended(process).ended(-signal.SIGKILL)
    wait_for_end(seen)


def newest(estate: Estate) -> dict[str, object]:
    """The last run, as the history tells it."""
    run: dict[str, object] = estate("history", "-o", "json").data["runs"][0]
    return run


def nothing_is_double(estate: Estate, *machines: str) -> None:
    found = [m["name"] for m in estate("lab", "status", "-o", "json").data["machines"]]
    assert sorted(found) == [f"lab-shop-{name}" for name in machines]
    deployments = estate.kubectl("--namespace", "shop", "get", "deployments", "-o", "name").split()
    assert deployments == ["deployment.apps/web"]


def converged(estate: Estate, *machines: str) -> None:
    estate.apply()
    assert estate.plan() == {}
    assert (
        estate.field("deployment/web", "{.spec.template.spec.containers[0].env[0].value}")
        == estate.machine("db-0")["address"]
    )
    nothing_is_double(estate, *machines)


def with_one_unit_of_each_kind(estate: Estate) -> None:
    manifest = estate.root / "blueprints/shop/agile/web/web.yaml.j2"
    manifest.write_text(manifest.read_text().partition("---")[0])
    estate.write("blueprints/shop/blueprint.yaml", '${objects["Service/web"].spec.clusterIP}', "none")
    estate.write("blueprints/shop/blueprint.yaml", "count: 2", "count: 1")


def test_killed_at_every_boundary_of_the_journal_the_next_apply_goes_on(estate: Estate, tmp_path: Path) -> None:
    """One apply after the other dies one boundary later, until one gets to the end.

    Of a step that the target has seen only the first boundary after that is met, for the next apply finds it done: so
    what still has boundaries that were not met is made necessary again, until all were.
    """
    with_one_unit_of_each_kind(estate)
    deaths = tmp_path / "deaths"
    deaths.touch()
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    met: set[str] = set()
    for replicas in range(2, 10):
        while (ran := estate("apply", "--yes", DEATHS=str(deaths), PYTHONPATH=path)).code != 0:
            ran.ended(-signal.SIGKILL)
            death = json.loads(deaths.read_text().splitlines()[-1])
            assert death["at"] not in met
            met.add(death["at"])
            wait_for_end(set(death["below"]))
        nothing_is_double(estate, "db-0")
        if met >= BOUNDARIES:
            break
        if not met >= boundaries(STABLE):
            estate.remove_machines()
        estate.write("blueprints/shop/blueprint.yaml", f"default: {replicas}}}", f"default: {replicas + 1}}}")
    assert met == BOUNDARIES
    converged(estate, "db-0")


def test_stopped_or_killed_while_programs_run_the_next_apply_goes_on(estate: Estate) -> None:
    """While it looks: no run. Stopped: what is under way ends, nothing else starts. Killed: nothing stays."""
    process, seen = start_until(estate, "ansible-playbook", "observe")
    ran = interrupted(estate, process, seen)
    assert "Interrupted" in ran.err
    assert estate("history", "-o", "json").data["runs"] == []

    process, seen = start_until(estate, "ansible-playbook", "ensure")
    ran = interrupted(estate, process, seen)
    assert "Stopping" in ran.err
    assert newest(estate)["result"] == "interrupted"
    assert newest(estate)["counts"] == {"done": 2}
    left = estate.plan()
    assert set(left.values()) == {"create"}
    assert not [address for address in left if "/machine/" in address]

    kill(estate, *start_until(estate, "ansible-playbook", "stable/db.yaml"))
    process, seen = start_until(estate, "pulumi", " up ")
    kill(estate, process, seen)
    converged(estate, "db-0", "db-1")

    estate.write("blueprints/shop/blueprint.yaml", "default: 2}", "default: 3}")
    process, seen = start_until(estate, "pulumi", " up ")
    ran = interrupted(estate, process, seen)
    assert "Stopping" in ran.err
    assert newest(estate)["counts"] == {"done": 1}
    assert estate.plan() == {}


def interrupted(estate: Estate, process: subprocess.Popen[str], seen: set[int]) -> Ran:
    """Ctrl-C, as a terminal sends it: to everything in the foreground."""
    os.killpg(process.pid, signal.SIGINT)
    ran = estate.ended(process).ended(130)
    wait_for_end(seen)
    return ran


def test_killed_or_ended_between_a_task_and_its_handler_the_handler_runs_the_next_time(estate: Estate) -> None:
    estate.apply()
    before = {machine: restarts(estate, machine) for machine in ("db-0", "db-1")}
    for machine in before:
        estate.on(machine, "touch /var/tmp/wait; rm /var/tmp/paused")
    estate.write("blueprints/shop/blueprint.yaml", "default: hello", "default: hi")

    process, seen = start_until(estate, "ansible-playbook", "stable/db.yaml")
    wait_until(lambda: all("paused" in estate.on(machine, "ls /var/tmp") for machine in before), process)
    kill(estate, process, seen)
    assert {machine: restarts(estate, machine) for machine in before} == before
    ran = estate("plan")
    assert "pending handlers" in ran.out, ran

    process, seen = start_until(estate, "ansible-playbook", "stable/db.yaml")
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None, "the first Ctrl-C waits for what is under way"
    interrupted(estate, process, seen)
    assert newest(estate)["result"] == "interrupted"

    for machine in before:
        estate.on(machine, "rm -f /var/tmp/wait")
    assert {machine: restarts(estate, machine) for machine in before} == before
    estate.apply()
    assert {machine: restarts(estate, machine) for machine in before} == {m: n + 1 for m, n in before.items()}
    assert estate.plan() == {}


def restarts(estate: Estate, machine: str) -> int:
    return int(estate.on(machine, "wc -l < /var/tmp/restarts"))
