from __future__ import annotations

import socket
from pathlib import Path

import pytest

from orchestrator.errors import LabError
from orchestrator.lab import machines
from orchestrator.lab.home import Home
from orchestrator.lab.machines import free_address


def test_an_address_is_the_same_each_time_and_differs_by_name_and_lab():
    one, other = Home(Path("/one")), Home(Path("/other"))
    assert free_address(one, "db-0", ()) == free_address(one, "db-0", ())
    assert len({free_address(home, name, ()) for home in (one, other) for name in ("db-0", "db-1")}) == 4


def test_a_taken_address_is_not_given_again():
    home = Home(Path("/one"))
    first = free_address(home, "db-0", ())
    assert free_address(home, "db-0", {first}) != first


def test_an_address_that_somebody_listens_on_is_left_to_them():
    home = Home(Path("/one"))
    first = free_address(home, "db-0", ())
    with socket.socket() as other:
        other.bind((first, 0))
        other.listen()
        assert free_address(home, "db-0", ()) != first


@pytest.mark.parametrize("name", ["", "UPPER", "a_b", "-a", "a-", "a" * 64, "../up", None, 3])
def test_a_bad_name_is_refused_before_anything_is_made(tmp_path: Path, name: object):
    home = Home(tmp_path / "lab")
    with pytest.raises(LabError, match="is no name for a machine"):
        machines.ensure(home, [{"name": "good"}, {"name": name}])
    assert not home.path.exists()
