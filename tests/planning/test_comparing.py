"""Plans compared with plans: what was not shown, what a saved one no longer describes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from orchestrator import planning
from orchestrator.errors import StalePlanError
from orchestrator.model.address import Address, Mode
from orchestrator.model.change import Action, Change, Plan, Scope
from orchestrator.model.observation import Absent, Difference, Observation, Present
from orchestrator.model.unit import Unit
from orchestrator.model.values import Secret
from orchestrator.planning import saved
from tests.planning.support import ESTATE, SALT, desired, present, record, unit

EVERYTHING = Scope()
LIMITED = Scope(sites=frozenset({"s"}), modes=frozenset(Mode), targets=("s/shop",), again=("s/shop/agile",))
WEB = "s/shop/agile/web/Deployment.apps/web/web"


def plan_with(action: Action, address: str = WEB) -> Plan:
    return Plan("acme", ESTATE, (Change(Address.parse(address), action, "because", wave=int(action.acts)),))


def plan_of(units: list[Unit], seen: Mapping[str, Observation], scope: Scope = EVERYTHING) -> Plan:
    return planning.plan(
        desired(units),
        planning.Situation(
            estate="acme",
            estate_id=ESTATE,
            observed={Address.parse(text): observation for text, observation in seen.items()},
            records={},
            scope=scope,
            sites={"s"},
        ),
    )


def unplanned(was: Action | None, now: Action) -> bool:
    shown = plan_with(was) if was else Plan("acme", ESTATE, ())
    return bool(planning.unplanned(shown, plan_with(now)))


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (Action.LATER, Action.CREATE),
        (Action.LATER, Action.UPDATE),
        (Action.LATER, Action.NONE),
        (Action.LATER, Action.WAIT),
        (Action.CREATE, Action.UPDATE),
        (Action.REPLACE, Action.CREATE),
        (Action.UPDATE, Action.HOLD),
        (Action.NONE, Action.WAIT),
        (Action.NONE, Action.HOLD),
        (Action.DELETE, Action.FORGET),
        *((action, action) for action in Action),
    ],
)
def test_what_was_shown_covers_what_is_left_of_it(was: Action, now: Action) -> None:
    assert not unplanned(was, now)


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (Action.LATER, Action.REPLACE),
        (Action.LATER, Action.DELETE),
        (Action.UPDATE, Action.REPLACE),
        (Action.UPDATE, Action.CREATE),
        (Action.UPDATE, Action.CONFLICT),
        (Action.NONE, Action.UPDATE),
        (Action.HOLD, Action.UPDATE),
        (Action.FORGET, Action.DELETE),
        (None, Action.CREATE),
        (None, Action.DELETE),
        (None, Action.WAIT),
    ],
)
def test_what_nobody_agreed_to_is_a_surprise(was: Action | None, now: Action) -> None:
    assert unplanned(was, now)


def test_surprise_names_unit_and_both_actions() -> None:
    [line] = planning.unplanned(plan_with(Action.NONE), plan_with(Action.DELETE))
    assert line == f"{WEB} was none, is now delete (because)"


def test_saved_plan_is_fresh_as_long_as_nothing_moves() -> None:
    web = unit(WEB, {"object": {"a": 2}})
    made = plan_of([web], {WEB: Absent()}, LIMITED)
    stored = json.loads(json.dumps(saved.save(made)))
    saved.check_fresh(stored, made)
    assert saved.scope(stored) == made.scope


def test_saved_plan_is_refused_when_a_document_moved() -> None:
    seen = {WEB: present(unit(WEB, {"object": {"a": 1}}))}
    stored = saved.save(plan_of([unit(WEB, {"object": {"a": 2}})], seen))
    with pytest.raises(StalePlanError, match=r"web: update .* is now from other values"):
        saved.check_fresh(stored, plan_of([unit(WEB, {"object": {"a": 3}})], seen))


def test_saved_plan_is_refused_when_a_target_moved() -> None:
    web = unit(WEB)
    scaled = replace(present(web), differences=(Difference("spec.replicas", 7, 3, "kubectl"),))
    stored = saved.save(plan_of([web], {WEB: scaled}))
    with pytest.raises(StalePlanError, match="was update, is now none"):
        saved.check_fresh(stored, plan_of([web], {WEB: present(web)}))
    again = replace(scaled, differences=(Difference("spec.replicas", 9, 3, "kubectl"),))
    with pytest.raises(StalePlanError, match="from other values"):
        saved.check_fresh(stored, plan_of([web], {WEB: again}))


def test_saved_plan_is_refused_when_its_object_was_made_anew() -> None:
    old = {WEB: Present(stamp=unit(WEB).stamp(ESTATE, SALT), uid="first")}
    new = {WEB: Present(stamp=unit(WEB).stamp(ESTATE, SALT), uid="second")}
    other = unit("s/shop/agile/web/Service/web/web")
    seen: dict[str, Observation] = {str(other.address): present(other)}
    stored = saved.save(plan_of([other], {**seen, **old}))
    with pytest.raises(StalePlanError, match="delete"):
        saved.check_fresh(stored, plan_of([other], {**seen, **new}))


def test_saved_plan_is_refused_when_something_came_or_went() -> None:
    web, service = unit(WEB), unit("s/shop/agile/web/Service/web/web")
    absent: dict[str, Observation] = {WEB: Absent(), str(service.address): Absent()}
    both, one = plan_of([web, service], absent), plan_of([web], {WEB: Absent()})
    with pytest.raises(StalePlanError, match="was create, is no longer there"):
        saved.check_fresh(saved.save(both), one)
    with pytest.raises(StalePlanError, match="was not in it, is now create"):
        saved.check_fresh(saved.save(one), both)


def test_saved_plan_of_another_estate_or_no_plan_at_all_is_refused() -> None:
    made = plan_of([unit(WEB)], {WEB: Absent()})
    with pytest.raises(StalePlanError, match="not of other"):
        saved.check_fresh(saved.save(made), replace(made, estate="other", estate_id="2"))
    wrong: list[dict[str, Any]] = [
        {},
        {"estate": {}, "changes": [1], "scope": {}},
        {"estate": {}, "changes": [], "scope": {}},
    ]
    for data in wrong:
        with pytest.raises(StalePlanError):
            saved.check_fresh(data, made)
        with pytest.raises(StalePlanError):
            saved.scope(data)


def test_saved_plan_holds_no_secret_and_none_of_its_hashes() -> None:
    canary = "canary-5ecret"
    web = unit(WEB, {"object": {"password": Secret(canary)}})
    changed = replace(present(web), differences=(Difference("data.password", Secret("old" + canary), Secret(canary)),))
    for seen in (Absent(), changed):
        text = json.dumps(saved.save(plan_of([web], {WEB: seen})))
        assert canary not in text
        assert web.digest("") not in text


def test_a_secret_that_was_never_applied_is_left_out_of_fingerprints() -> None:
    one, other = (unit(WEB, {"object": {"password": Secret(value)}}) for value in ("a", "b"))
    saved.check_fresh(saved.save(plan_of([one], {WEB: Absent()})), plan_of([other], {WEB: Absent()}))


def test_only_records_of_nothing_are_dropped() -> None:
    web, old = unit(WEB), unit("s/shop/agile/old/Service/web/old")
    made = planning.plan(
        desired([web]),
        planning.Situation(
            estate="acme",
            estate_id=ESTATE,
            observed={web.address: present(web)},
            records={web.address: record(web), old.address: record(old)},
            scope=Scope(),
            sites={"s"},
        ),
    )
    assert planning.gone(made) == (old.address,)
    assert not made.acting


def test_the_record_of_a_moved_thing_is_kept_until_the_move_is_made() -> None:
    web, old = unit(WEB), unit("s/shop/agile/old/Deployment.apps/web/web")
    made = planning.plan(
        desired([web]),
        planning.Situation(
            estate="acme",
            estate_id=ESTATE,
            observed={web.address: Present(old.stamp(ESTATE, SALT))},
            records={old.address: record(old)},
            scope=Scope(),
            sites={"s"},
        ),
    )
    [change] = made.changes
    assert change.reason == f"address moved from {old.address}"
    assert change.record == record(old)
    assert planning.gone(made) == ()
