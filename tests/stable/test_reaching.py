"""Hosts that do not answer in their time."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

from orchestrator.model.observation import Unreachable
from orchestrator.modes.stable.reach.reaching import Hosts, Reach

LATE, REFUSED = "ssh 10.0.0.1:22: timed out after 10 s", "ssh 10.0.0.2:22: Connection refused"


def test_a_host_whose_time_ran_out_is_not_asked_again_at_once_unless_afresh(tmp_path: Path, monkeypatch: Any) -> None:
    asked: list[str] = []
    says: dict[str, dict[str, Any]] = {"late": {"unreachable": LATE}, "refuses": {"unreachable": REFUSED}}

    def ask(request: dict[str, Any]) -> Future[dict[str, Any]]:
        asked.append(request["host"])
        future: Future[dict[str, Any]] = Future()
        future.set_result(says[request["host"]])
        return future

    reach = Reach(tmp_path, str)
    monkeypatch.setattr(reach, "_ask", ask)
    hosts = Hosts(inventory=tmp_path / "hosts.yml")
    both: dict[str, dict[str, Any]] = {"late": {}, "refuses": {}}
    for _ in range(2):
        found = reach.probe(hosts, both)
        assert found == {"late": Unreachable(LATE, cause=LATE), "refuses": Unreachable(REFUSED, cause=REFUSED)}
    assert sorted(asked) == ["late", "refuses", "refuses"]
    says["late"] = {"answer": {"slots": []}}
    assert reach.probe(hosts, {"late": {}}, fresh=True) == {"late": {"slots": []}}
    assert reach.probe(hosts, {"late": {}}) == {"late": {"slots": []}}
    assert reach.probe(Hosts(inventory=tmp_path / "others.yml"), {"late": {}}) == {"late": {"slots": []}}
