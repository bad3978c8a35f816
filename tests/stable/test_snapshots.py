"""Snapshots of machines, taken and given back by the lab's provider; and providers that take none."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import DriverError
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Present
from orchestrator.model.outcome import Outcome, Result


def todo(units: list[Any], driver: Any) -> list[Change]:
    seen = driver.observe(units, [])
    return [Change(u.address, Action.UPDATE, "for a test", unit=u, seen=seen.units[u.address]) for u in units]


def results(outcomes: list[Outcome]) -> list[Result]:
    return [outcome.result for outcome in outcomes]


def test_a_provider_without_snapshots_says_so(estate: Any, tools: Any) -> None:
    driver, unit = estate.driver(), estate.unit()
    change = Change(unit.address, Action.UPDATE, "for a test", unit=unit)
    for act in (driver.snapshot, driver.restore, driver.drop_snapshot):
        (outcome,) = act([change], "before-7")
        assert (outcome.result, outcome.message) == (Result.FAILED, "provider static takes no snapshots")
    with pytest.raises(DriverError, match="no name for a snapshot"):
        list(driver.snapshot([change], "../x"))


@pytest.mark.lab
def test_a_machine_is_given_back_as_it_was_before_the_change(made: Any) -> None:
    """The files and the stamps of the snapshot are there again; taking it twice keeps the first."""
    driver, machine, settings = made.driver, made.machine, made.configuration
    changes = todo([machine, settings], driver)
    assert results(list(driver.snapshot(changes, "before-7"))) == [Result.DONE] * 2
    made.write("/etc/x", "after the change")
    assert results(list(driver.snapshot(changes, "before-7"))) == [Result.DONE] * 2
    before = driver.observe([settings], []).units[settings.address]
    assert isinstance(before, Present)
    assert before.differences

    outcomes = list(driver.restore(changes, "before-7"))
    assert [(o.result, o.message) for o in outcomes] == [(Result.DONE, "as in snapshot before-7")] * 2
    assert made.read("/etc/x") == "x"
    after = driver.observe([settings], []).units[settings.address]
    assert isinstance(after, Present)
    assert after.differences == ()

    assert results(list(driver.drop_snapshot(changes, "before-7"))) == [Result.DONE] * 2
    assert results(list(driver.drop_snapshot(changes, "before-7"))) == [Result.DONE] * 2
    (outcome,) = driver.restore(changes[:1], "before-7")
    assert outcome.result == Result.FAILED
    assert "has no snapshot before-7" in outcome.message
    assert made.read("/etc/x") == "x"


@pytest.mark.lab
def test_a_snapshot_that_fails_leaves_nothing_behind_and_can_be_taken_again(made: Any, tmp_path: Path) -> None:
    folder = made.folder
    (folder / "snapshots").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder / "snapshots"], check=False)
    if not (folder / "snapshots").is_mount():
        pytest.skip("only root can mount a full disk")
    changes = todo([made.machine], made.driver)
    try:
        (outcome,) = made.driver.snapshot(changes, "before-7")
        assert outcome.result == Result.FAILED
        assert "No space left on device" in outcome.message
        assert list((folder / "snapshots").iterdir()) == []
    finally:
        subprocess.run(["umount", folder / "snapshots"], check=True)
    (outcome,) = made.driver.snapshot(changes, "before-7")
    assert outcome.result == Result.DONE
