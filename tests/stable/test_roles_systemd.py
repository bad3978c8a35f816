"""Three roles as teams write them, on real machines: how much of what they do is verified, and no false drift."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.outcome import Result

pytestmark = [pytest.mark.lab, pytest.mark.long]

ROLES = Path(__file__).parents[1] / "fixtures" / "roles"
ENOUGH = 0.9


@pytest.mark.parametrize(
    ("role", "script", "told"),
    [
        ("base", "sed -i 's/^MaxAuthTries 3/MaxAuthTries 9/' /etc/ssh/sshd_config", "/etc/ssh/sshd_config line"),
        ("database", "systemctl stop postgresql@15-main", "service postgresql@15-main active"),
        ("proxy", "rm /etc/nginx/sites-enabled/api.example", "/etc/nginx/sites-enabled/api.example"),
    ],
)
def test_nearly_all_that_a_role_changes_is_verified(
    role: str, script: str, told: str, fleet: Any, tools: Any, tmp_path: Path
) -> None:
    estate = tools.on_machines(tmp_path, fleet, role)
    shutil.copytree(ROLES / role, estate.blueprint / "roles" / role)
    estate.write("play.yaml", (ROLES / "site.yaml").read_text().replace('"{{ chosen }}"', f"[{role}]"))
    unit = estate.unit(role)
    try:
        driver = estate.driver()
        outcome = tools.apply(driver, [unit])[role]
        assert (outcome.result, outcome.message) == (Result.DONE, ""), outcome
        coverage = outcome.coverage
        assert coverage is not None
        print(f"{role}: {coverage.verified} of {coverage.total} tasks, not: {', '.join(coverage.unverified)}")
        assert coverage.total >= 15
        assert coverage.verified / coverage.total >= ENOUGH, coverage
        assert tools.present(driver.observe([unit], []), unit).differences == ()
        fleet.machines[role].run(script)
        (difference,) = tools.present(driver.observe([unit], []), unit).differences
        assert difference.path.startswith(told)
        assert tools.apply(driver, [unit])[role].result == Result.DONE
        assert tools.present(driver.observe([unit], []), unit).differences == ()
    finally:
        estate.close()
