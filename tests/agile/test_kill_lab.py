"""Runs that are killed half way: by the hundred objects, on a real cluster."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.model.outcome import Result
from orchestrator.model.unit import Unit
from tests.agile.estates import Estate, unit

pytestmark = pytest.mark.lab

_CHILD = """
import pickle, sys
sys.path[:0] = sys.argv[2:]
from tests.agile.conftest import made
from tests.agile.estates import Estate
kubeconfig, scratch, estate_id, units = pickle.load(open(sys.argv[1], "rb"))
Estate(made(kubeconfig, scratch, estate_id), None).apply(units)
"""


def configs(count: int, namespace: str) -> list[Unit]:
    return [
        unit(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"c{n}", "namespace": namespace},
                "data": {"n": str(n)},
            }
        )
        for n in range(count)
    ]


def stuck(namespace: str, timeout: float = 60) -> Unit:
    """A pod that never becomes ready, so that Pulumi waits."""
    spec = {"nodeSelector": {"no": "such"}, "containers": [{"name": "x", "image": "x"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stuck", "namespace": namespace}, "spec": spec}
    return unit(pod, timeout=timeout)


def started_by(parent: int) -> list[int]:
    """The processes of pulumi that a process has started."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and b"pulumi" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (OSError, ValueError, IndexError):
            continue
    return found


def until(what, seconds: float = 30):
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def test_killed_pulumi_is_told_and_the_next_apply_needs_nobody_to_clear_a_lock(estate: Estate) -> None:
    units = [*configs(50, "killed"), stuck("killed", timeout=8)]
    done: list = []
    thread = threading.Thread(target=lambda: done.append(estate.apply(units)))
    thread.start()
    until(lambda: any("waiting" in text for text in estate.told))
    (pulumi,) = started_by(os.getpid())
    os.kill(pulumi, signal.SIGKILL)
    thread.join(timeout=90)
    results = {o.result for name, o in done[0].items() if name.startswith("ConfigMap")}
    assert results == {Result.DONE}
    assert list(estate.scratch.rglob("locks/**/*.json"))
    changed = configs(60, "killed")
    outcomes = estate.apply(changed)
    assert {o.result for o in outcomes.values()} == {Result.DONE}, outcomes
    assert estate.plan(changed) == {}


def test_when_we_are_killed_pulumi_ends_with_us_and_the_next_apply_goes_on(
    estate: Estate, estate_again: Callable[..., Estate], tmp_path: Path
) -> None:
    units = [*configs(20, "orphan"), stuck("orphan")]
    site = estate.driver._site
    (tmp_path / "work").write_bytes(pickle.dumps((site.kubeconfig, site.scratch, site.estate_id, units)))
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(tmp_path / "work"), str(Path(__file__).parents[2])])
    until(lambda: estate.observe(units).units[units[-1].address].__class__.__name__ == "Present")
    (pulumi,) = until(lambda: started_by(child.pid))
    child.kill()
    child.wait()
    until(lambda: not Path(f"/proc/{pulumi}").exists(), seconds=5)
    assert len(list(site.scratch.glob("connection-*"))) == 2  # ours, and what the child has left
    estate_again(scratch=site.scratch).observe(units)
    assert len(list(site.scratch.glob("connection-*"))) == 2
    assert not list(site.scratch.glob(f"connection-{child.pid}-*"))
    estate.converge(units[:-1])
    assert set(estate.actions(units[:-1])) == set()


def test_killed_amid_hundreds_of_objects_nothing_is_orphaned_or_doubled_even_without_any_state(
    estate: Estate, estate_again: Callable[..., Estate], tmp_path: Path
) -> None:
    units = configs(300, "amid")
    site = estate.driver._site
    (tmp_path / "work").write_bytes(pickle.dumps((site.kubeconfig, site.scratch, site.estate_id, units)))
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(tmp_path / "work"), str(Path(__file__).parents[2])])

    def there() -> dict[str, str]:
        """Name -> uid of what bears our label, seen without our own code."""
        columns = "jsonpath={range .items[*]}{.metadata.name}={.metadata.uid} {end}"
        label = f"orchestrator.dev/workload,orchestrator.dev/estate={site.estate_id}"
        found = estate.kubectl("get", "configmaps", "--namespace", "amid", "-l", label, "-o", columns).split()
        return {name: uid for name, uid in (each.split("=") for each in found) if name.startswith("c")}

    until(lambda: len(there()) > 20, seconds=60)
    child.kill()
    child.wait()
    left = there()
    assert 20 < len(left) < 300
    kept = [each for each in units if not each.address.name.endswith("0")]  # the others are declared no more
    again = estate_again()  # another clone: no state of Pulumi's, no records
    again.converge(kept)
    now = there()
    assert set(now) == {each.address.name.rpartition("/")[2] for each in kept}
    assert {name: uid for name, uid in left.items() if name in now}.items() <= now.items()
    assert again.plan(kept) == {}


def test_closing_the_driver_ends_a_wait(estate: Estate) -> None:
    done: list = []
    thread = threading.Thread(target=lambda: done.append(estate.apply([stuck("closed")])))
    thread.start()
    until(lambda: any("waiting" in text for text in estate.told))
    started = time.monotonic()
    estate.driver.close()
    thread.join(timeout=30)
    assert time.monotonic() - started < 5
    assert [o.result for o in done[0].values()] == [Result.INTERRUPTED]
