"""What `drift --watch` tells: what is new, what is otherwise, what has ended."""

from __future__ import annotations

import json
from dataclasses import replace

from orchestrator.cli.views.drift_events import events, lines, standing
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Difference, Present, Unreachable
from tests.cli.values import NOW, WEB, change, plan

PLACE = WEB + "Deployment.apps/shop/web"


def scaled(count: int) -> Change:
    found = Difference("spec.replicas", count, 3, "kubectl")
    return change(PLACE, Action.UPDATE, f"drifted: {count}", seen=Present(None), drift=True, differences=(found,))


def told(before: Change | None, now: Change | None) -> list[str]:
    plans = [standing(plan(*([one] if one else []))) for one in (before, now)]
    return [event.what for event in events(*plans)]


def test_drift_is_told_once_and_again_when_it_is_another() -> None:
    assert told(None, scaled(7)) == ["drifted"]
    assert told(scaled(7), scaled(7)) == []
    assert told(scaled(7), scaled(8)) == ["drifted"]
    assert told(scaled(7), None) == ["healed"]
    assert told(scaled(7), change(PLACE, Action.NONE, "as declared")) == ["healed"]


def test_what_cannot_be_seen_and_what_is_not_ready_have_their_own_words() -> None:
    away = change(PLACE, Action.HOLD, "refused", seen=Unreachable("refused"))
    waiting = change(PLACE, Action.WAIT, "1 of 3 replicas ready", seen=Present(None))
    assert told(None, away) == ["unseen"]
    assert told(away, None) == ["seen"]
    assert told(None, waiting) == ["not ready"]
    assert told(waiting, None) == ["ready"]
    assert told(away, scaled(7)) == ["drifted"]


def test_events_are_lines_for_people_and_objects_for_programs() -> None:
    found = events({}, standing(plan(scaled(7))))
    (line,) = lines(found, "table", NOW)
    assert line.partition("  ")[2] == "~ shanghai-dc  shop  agile  Deployment web  spec.replicas 3 → 7 (kubectl)"
    (text,) = lines(found, "json", NOW)
    data = json.loads(text)
    assert (data["event"], data["address"], data["time"][-1]) == ("drifted", PLACE, "Z")
    assert data["differences"][0]["old"] == 7
    healed = events(standing(plan(scaled(7))), {})
    assert next(lines(healed, "table", NOW)).endswith("✓ shanghai-dc  shop  agile  Deployment web  healed")


def test_several_events_come_in_the_order_of_everything_that_is_shown() -> None:
    other = replace(scaled(1), address=replace(scaled(1).address, name="shop/api"))
    found = events({}, standing(plan(scaled(7), other)))
    assert [event.change.address.name for event in found] == ["shop/api", "shop/web"]
