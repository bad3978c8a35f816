from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import LabError
from orchestrator.lab import disk, sandbox


@pytest.fixture(autouse=True)
def _asked_anew():
    sandbox.choose.cache_clear()
    yield
    sandbox.choose.cache_clear()


def test_no_way_at_all_is_an_error_that_names_the_ways(monkeypatch: pytest.MonkeyPatch):
    ways = [("bubblewrap-user", Path("/usr/bin/false")), ("proot", Path("/no/such/proot"))]
    monkeypatch.setattr(sandbox, "_candidates", lambda: ways)
    with pytest.raises(LabError) as caught:
        sandbox.choose()
    assert "bubblewrap-user (/usr/bin/false" in caught.value.message
    assert "proot (/no/such/proot" in caught.value.message
    assert "apt-get install proot" in caught.value.hint


def test_a_sandbox_can_be_asked_for_by_name_and_a_wrong_name_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ORCHESTRATOR_LAB_SANDBOX", "docker")
    with pytest.raises(LabError, match="docker: there is no such sandbox"):
        sandbox.choose()


def test_capabilities_that_we_do_not_hold_are_not_asked_for(monkeypatch: pytest.MonkeyPatch):
    status = "Name:\tx\nCapEff:\t0000000000000001\nCapBnd:\tffff\n"
    monkeypatch.setattr(Path, "read_text", lambda *_: status)
    assert sandbox._capabilities("bubblewrap-root") == ["--cap-add", "CAP_CHOWN"]


def test_a_new_disk_has_users_of_its_own_and_no_secret_of_the_host(tmp_path: Path):
    disk.make(tmp_path / "disk")
    disk.name_it(tmp_path / "disk", "db-0", "127.1.2.3", "0" * 32)
    etc = tmp_path / "disk" / "etc"
    assert (etc / "passwd").read_text().startswith("root:x:0:0:")
    assert all(line.split(":")[1] == "*" for line in (etc / "shadow").read_text().splitlines())
    assert not (etc / "ssl" / "private").exists()
    assert not (etc / "ssh").exists()
    assert "127.1.2.3 db-0" in (etc / "hosts").read_text()
