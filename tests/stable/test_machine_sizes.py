"""A machine's inputs compared with what its provider tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.model.address import Address, Mode
from orchestrator.model.source import Source
from orchestrator.model.unit import Unit
from orchestrator.modes.stable.machine_sizes import differences_of
from orchestrator.modes.stable.provider_runs import Told
from orchestrator.modes.stable.providers import Provider

PROVIDER = Provider("own", Path(), machine={"cpu": "restart", "memory": "restart"})


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (10**9, []),
        (976563 * 1024, []),  # whole kibibytes
        ("954Mi", []),  # whole mebibytes
        ("2Gi", ["2Gi"]),
        (10**9 + (1 << 20), ["1001048576"]),
    ],
)
def test_how_a_provider_rounds_a_size_is_no_drift(told: int | str, shown: list[str]) -> None:
    address = Address("here", "shop", Mode.STABLE, "db", "machine", "db-0")
    unit = Unit(address, {"name": "db-0", "memory": "1G"}, {"memory": "1G"}, "machine:db-0", Source("b.yaml", 1))
    seen = Told("db-0", "10.0.0.1", "running", {}, None, {"memory": told})
    found = differences_of(PROVIDER, unit, unit.stamp("e", "salt"), seen)
    assert [str(difference.old) for difference in found] == shown
