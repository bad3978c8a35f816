"""`drift --watch`: what drifts and what is healed, as it happens; a line for a person, or a JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from orchestrator.cli.views import text as t
from orchestrator.cli.views.drift import details
from orchestrator.cli.views.plan import change_data, labels
from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change, Plan, in_order

What = Literal["drifted", "not ready", "unseen", "healed", "ready", "seen"]

_ENDS: Mapping[What, What] = {"drifted": "healed", "not ready": "ready", "unseen": "seen"}
_SIGNS: Mapping[What, str] = {"drifted": "~", "not ready": "!", "unseen": "!", "healed": "✓", "ready": "✓", "seen": "✓"}


@dataclass(frozen=True, slots=True)
class Event:
    """What has become of one unit since the look before."""

    what: What
    change: Change


def standing(plan: Plan) -> dict[Address, Change]:
    """What a plan of what drifted has to tell, by unit."""
    return {change.address: change for change in plan.changes if change.action != Action.NONE}


def events(before: Mapping[Address, Change], now: Mapping[Address, Change]) -> list[Event]:
    """What is new, what is otherwise than before, and what has ended; in the order of everything that is shown."""
    found = []
    for address in {*before, *now}:
        was, now_is = before.get(address), now.get(address)
        if now_is is not None and (was is None or _state(was) != _state(now_is)):
            found.append(Event(_what(now_is), now_is))
        elif was is not None and now_is is None:
            found.append(Event(_ENDS[_what(was)], was))
    places = {change.address: place for place, change in enumerate(in_order([event.change for event in found]))}
    return sorted(found, key=lambda event: places[event.change.address])


def _what(change: Change) -> What:
    if change.action == Action.HOLD:
        return "unseen"
    return "drifted" if change.drift else "not ready"


def _state(change: Change) -> object:
    return _what(change), change.reason, change.differences


def lines(found: list[Event], output: str, now: float) -> Iterator[str]:
    """Each event as `table` or `json` has it."""
    time = datetime.fromtimestamp(now, UTC)
    if output == "json":
        for event in found:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
            yield json.dumps({"event": event.what, "time": stamp, **change_data(event.change)}, ensure_ascii=False)
        return
    names = labels([event.change for event in found])
    for event in found:
        address = event.change.address
        place = "  ".join((address.site, address.placement, str(address.mode), names[address]))
        why = details(event.change) if event.what in _ENDS else [event.what]
        for line in why:
            yield f"{time.astimezone():%H:%M:%S}  {_SIGNS[event.what]} {t.clean(place)}  {line}"
