"""What a run teaches where plays are not a plain list of tasks; check mode; failed runs; flapping. On local hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.outcome import Result

pytestmark = pytest.mark.lab

PLAY = Path(__file__).with_name("every_way.yaml")


def test_every_way_to_write_tasks_is_learnt_and_check_mode_tells_the_rest(estate: Any, tools: Any) -> None:
    estate.write("play.yaml", PLAY.read_text())
    estate.write("more.yaml", '- {name: imported, ansible.builtin.copy: {content: x, dest: "{{ base }}/imported"}}\n')
    estate.write(
        "roles/part/tasks/main.yml",
        '- {name: in a role, ansible.builtin.copy: {content: x, dest: "{{ base }}/role"}}\n',
    )
    driver, unit = estate.driver(), estate.unit("h1")
    outcome = tools.apply(driver, [unit])["h1"]
    assert (outcome.result, outcome.message) == (Result.DONE, ""), outcome
    assert outcome.coverage is not None
    assert outcome.coverage.unverified == ("a command",)
    assert (outcome.coverage.verified, outcome.coverage.total) == (11, 12)
    base = estate.host("h1")
    assert tools.present(driver.observe([unit], []), unit).differences == ()
    managed = ("s", "hidden", "here", "role", "imported", "block", "rescue", "always", "once", "same")
    for name in (*managed, "handled"):
        (base / name).write_text("changed")
    (base / "l").write_text("b\n")
    found = {one.path for one in tools.present(driver.observe([unit], []), unit).differences}
    assert found == {f"{base}/{name} content" for name in managed} | {f'{base}/l line "loop"'}

    handled = (base / "handled").stat().st_mtime_ns
    told = driver.check([unit])[unit.address]
    assert told.failed == ""
    assert {"hidden", "part : in a role"} <= {task for task, _ in told.tasks}
    assert ("loop", "bp/play.yaml:5") in told.tasks
    assert (base / "hidden").read_text() == "changed", "nothing is changed"
    assert (base / "handled").stat().st_mtime_ns == handled, "no handler runs"
    assert {one.path for one in tools.present(driver.observe([unit], []), unit).differences} == found


def test_what_is_declared_away_is_no_drift_and_what_flaps_is_named(estate: Any, tools: Any) -> None:
    estate.write("play.yaml", TWO)
    driver, unit = estate.driver(), estate.unit("h1")
    tools.apply(driver, [unit])
    base = estate.host("h1")
    for text in ("y", "x", "y", "x", "y"):
        (base / "a").write_text(text)
        seen = tools.present(driver.observe([unit], []), unit)
    (flapping,) = seen.flapping
    assert (flapping.path, flapping.times) == (f"{base}/a content", 3)
    (difference,) = seen.differences
    assert difference.since is not None
    assert difference.since[0] == difference.since[1] == (base / "a").stat().st_ctime
    away = estate.unit("h1", ignore=[flapping.path])
    assert tools.present(driver.observe([away], []), away).differences == ()
    assert unit.digest("") == away.digest(""), "nothing is applied for it"
    (base / "a").chmod(0o600)
    assert [one.path for one in tools.present(driver.observe([away], []), away).differences] == [f"{base}/a mode"]


TWO = """
    - hosts: all
      gather_facts: false
      tasks:
        - {name: first, ansible.builtin.copy: {content: x, dest: "{{ base }}/a"}}
        - {name: second, ansible.builtin.command: "test ! -e {{ base }}/broken"}
"""


def test_what_a_failed_run_has_changed_is_not_told_as_drift(estate: Any, tools: Any, tmp_path: Path) -> None:
    estate.write("play.yaml", TWO)
    driver = estate.driver()
    tools.apply(driver, [estate.unit("h1")])
    base = estate.host("h1")
    (base / "broken").touch()
    estate.write("play.yaml", TWO.replace("content: x", "content: other"))
    unit = estate.unit("h1")
    assert tools.apply(driver, [unit])["h1"].result == Result.FAILED
    seen = tools.present(driver.observe([unit], []), unit)
    assert seen.differences == ()
    assert seen.stamp is not None
    assert seen.stamp.digest != unit.digest(""), "it is still to be applied"
    (base / "a").write_text("by hand")
    assert [one.path for one in tools.present(driver.observe([unit], []), unit).differences] == [f"{base}/a content"]
