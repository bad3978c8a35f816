"""Small model values for the views' tests."""

from __future__ import annotations

from typing import Any

from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change, Plan
from orchestrator.model.observation import Tally

DB = "shanghai-dc/shop/stable/orders-db/configuration/"
WEB = "shanghai-dc/shop/agile/web/"
NOW = 1_800_000_000.0


def change(address: str, action: Action, reason: str = "as declared", **rest: Any) -> Change:
    return Change(Address.parse(address), action, reason, **rest)


def plan(*changes: Change, **rest: Any) -> Plan:
    tally = Tally(units=len(changes), seconds=0.6, requests=12)
    return Plan("acme", "7d0c", changes, **{"tally": tally, **rest})
