"""Machines of simulated providers through the CLI: what cannot be had, and what is taken back."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.machines import estates
from tests.stable.benches import SimulatedBench
from tests.stable.provider_benches import cli

pytestmark = pytest.mark.lab
LONG = pytest.mark.long
SIMULATED = pytest.mark.parametrize("bench", ["ec2", "vsphere"], indirect=True)
# The task of the provider's playbook that keeps a machine.
TASKS = {"ec2": "Its disks are kept", "vsphere": "Virtual machines are kept as they are"}


@LONG
@SIMULATED
def test_machines_that_cannot_be_had_are_told_and_the_others_are_made(bench: SimulatedBench) -> None:
    """No such image, a quota, a name that is taken, a machine that answers nobody: each for itself."""
    it = cli(bench)
    good = {"image": bench.image, **bench.small}
    wanted = {"well": good, "deaf": good, "taken": good, "image": {**good, "image": "debian-99"}}
    if bench.provider == "ec2":
        wanted["quota"] = {**good, "cpu": 32}
    estates.write_blueprint(it, {name: {"machines": spec} for name, spec in wanted.items()}, {})
    bench.make_foreign("here-app-taken-0")
    bench.silence("here-app-deaf-0")
    told = it.apply(expect=1).out
    conflict = "there, but not ours; to take it over: orchestrator adopt here/app/stable/taken/machine/taken-0"
    assert f"machine taken-0           {conflict}" in told, told
    assert "the image `debian-99` is not among the site's `images`; there are debian-12" in told, told
    assert re.search(r"machine deaf-0 +unreachable(: |, stable deaf\n +)here-app-deaf-0: no route to host", told), told
    assert re.search(r"✓ here +machine well-0", told), told
    if bench.provider == "ec2":
        assert re.search(r"machine quota-0 +failed .*\n.*requested more vCPU capacity than your current limit", told), (
            told
        )
        assert "no route to host; its console ends:\n    NX (Execute Disable) protection" in told, told
    assert "orchestrator show 1 --log here/app/stable/image/machine/image-0" in told

    (bench.folder / "here-app-deaf-0.down").unlink()
    good = {name: {"machines": good} for name in wanted if name != "taken"}
    estates.write_blueprint(it, good, {})
    assert "machine well-0" not in it.apply().out, "only what is not done"
    assert bench.names() == [f"here-app-{name}-0" for name in sorted(wanted)]


@LONG
@SIMULATED
def test_a_change_that_goes_wrong_is_taken_back_and_one_that_cannot_be_is_not_begun(bench: SimulatedBench) -> None:
    """Snapshot, resize, not ready, restore; then no snapshot for one of two; then done, and nothing is left behind."""
    it = cli(bench)
    policy = {"batches": ["100%"], "maxFailures": 2, "snapshot": True, "onFailure": "restore"}
    estates.write_placement(it, {"stable": policy})

    def declare(size: Mapping[str, Any], ready: Sequence[Mapping[str, Any]]) -> None:
        workload = {"machines": {"count": 2, "image": bench.image, **size}, "ready": ready}
        estates.write_blueprint(it, {"db": workload}, {})

    db = [f"here-app-db-{index}" for index in range(2)]
    declare(bench.small, [{"command": "true"}])
    it.apply()
    inside = [shutil.copytree(bench.folder / name, bench.root / f"before-{name}") for name in db]

    declare(bench.large, [{"command": "true"}, {"command": "false", "within": "1s"}])
    told = it.apply(expect=1).out
    for name in db:
        assert f"machine {name[9:]} was given back as it was before the change" in told, told
    assert ([bench.cpus(name) for name in db], bench.snapshots()) == ([2, 2], {})
    for name, before in zip(db, inside, strict=True):  # disks are no matter of the simulator's
        shutil.rmtree(bench.folder / name)
        before.rename(bench.folder / name)

    declare(bench.large, [{"command": "true"}])
    assert set(it.plan().values()) == {"update"}
    with bench.refusing_snapshots(db[0]) as why:
        told = " ".join(it.apply(expect=1).out.split())
    assert f"not started, as its snapshot failed: {TASKS[bench.provider]}" in told, told
    assert why in told, told
    assert "`snapshot`" in told, told
    assert ([bench.cpus(name) for name in db], bench.snapshots()) == ([2, 4], {})

    it.apply()
    assert ([bench.cpus(name) for name in db], bench.snapshots()) == ([4, 4], {})
    assert it.plan() == {}
