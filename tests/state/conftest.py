"""A store in a folder of its own, with a clock that stands until it is moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change, Plan
from orchestrator.state import Store, open_store

WEB = Address.parse("s/shop/agile/web/Deployment.apps/web/web")
CHANGE = Change(WEB, Action.UPDATE, "drifted: spec.replicas 3 → 7 (kubectl)", wave=1)
PLAN = Plan("acme", "id-1", (CHANGE,))


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _no_other_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORCHESTRATOR_STATE_DIR", raising=False)


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with open_store(tmp_path, clock=clock) as opened:
        yield opened
