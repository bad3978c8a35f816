"""A real machine with systemd, behind its own sshd."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.observation import Absent, Unreachable
from orchestrator.model.outcome import Result

pytestmark = pytest.mark.lab

PLAY = """
    - hosts: all
      gather_facts: false
      tasks:
        - {name: Settings, ansible.builtin.copy: {content: x, dest: /etc/x}}
        - {name: Scheduler, ansible.builtin.systemd_service: {name: cron, state: started, enabled: true}}
"""


def test_a_machine_is_configured_stamped_and_seen_again(
    fleet: Any, tools: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOST_TIMEOUT", "4")
    estate = tools.on_machines(tmp_path, fleet, "plain")
    estate.write("play.yaml", PLAY)
    unit = estate.unit("plain", ready=[{"command": "systemctl is-active cron", "within": 5.0}])
    try:
        driver = estate.driver()
        assert isinstance(driver.observe([unit], []).units[unit.address], Absent)
        outcome = tools.apply(driver, [unit])["plain"]
        assert outcome.result == Result.DONE, outcome
        seen = tools.present(estate.driver().observe([unit], []), unit)
        assert (seen.ready, seen.differences) == (True, ())
        fleet.cut("plain")
        assert isinstance(estate.driver().observe([unit], []).units[unit.address], Unreachable)
        fleet.heal("plain")
        assert tools.present(estate.driver().observe([unit], []), unit).stamp == seen.stamp
    finally:
        estate.close()
