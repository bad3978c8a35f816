"""Three roles as teams write them, on a real machine: how much of what they do is verified, and no false drift."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.outcome import Outcome, Result
from orchestrator.model.unit import Unit

pytestmark = pytest.mark.lab

ROLES = Path(__file__).parents[1] / "fixtures" / "roles"
ENOUGH = 0.9
BY_HAND = {
    "base": ("sed -i 's/^MaxAuthTries 3/MaxAuthTries 9/' /etc/ssh/sshd_config", "/etc/ssh/sshd_config line"),
    "database": ("systemctl stop postgresql@15-main", "service postgresql@15-main active"),
    "proxy": ("rm /etc/nginx/sites-enabled/api.example", "/etc/nginx/sites-enabled/api.example"),
}


@dataclass
class Server:
    """A machine with all three roles, each a workload of its own; what became of applying them."""

    estate: Any
    machine: Any
    units: dict[str, Unit]
    outcomes: dict[str, Outcome]

    def differences(self, tools: Any) -> dict[str, list[str]]:
        """What differs now, by role."""
        seen = self.estate.driver().observe(list(self.units.values()), [])
        return {role: [d.path for d in tools.present(seen, unit).differences] for role, unit in self.units.items()}


@pytest.fixture(scope="module")
def server(fleet: Any, tools: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    estate = tools.on_machines(tmp_path_factory.mktemp("roles"), fleet, "server")
    units = {}
    for role in BY_HAND:
        shutil.copytree(ROLES / role, estate.blueprint / "roles" / role)
        estate.write(f"{role}.yaml", (ROLES / "site.yaml").read_text().replace('"{{ chosen }}"', f"[{role}]"))
        units[role] = estate.unit("server", workload=role, playbook=f"{role}.yaml")
    driver = estate.driver()
    outcomes = {role: tools.apply(driver, [unit])["server"] for role, unit in units.items()}
    yield Server(estate, fleet.machines["server"], units, outcomes)
    estate.close()


def test_nearly_all_that_a_role_changes_is_verified(server: Server) -> None:
    for role, outcome in server.outcomes.items():
        assert (outcome.result, outcome.message) == (Result.DONE, ""), (role, outcome)
        coverage = outcome.coverage
        assert coverage is not None
        print(f"{role}: {coverage.verified} of {coverage.total} tasks, not: {', '.join(coverage.unverified)}")
        assert coverage.total >= 15, role
        assert coverage.verified / coverage.total >= ENOUGH, (role, coverage)


def test_what_is_changed_by_hand_is_found_and_nothing_else(server: Server, tools: Any) -> None:
    assert server.differences(tools) == {role: [] for role in BY_HAND}
    for script, _ in BY_HAND.values():
        server.machine.run(script)
    found = server.differences(tools)
    for role, (_, told) in BY_HAND.items():
        (path,) = found[role]
        assert path.startswith(told)


@pytest.mark.long
def test_another_apply_mends_it(server: Server, tools: Any) -> None:
    driver = server.estate.driver()
    for unit in server.units.values():
        assert tools.apply(driver, [unit])["server"].result == Result.DONE
    assert server.differences(tools) == {role: [] for role in BY_HAND}
