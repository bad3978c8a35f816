"""Expressions and plan agree: what is made anew is not known until it is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from orchestrator import planning
from orchestrator.desired import Desired
from orchestrator.errors import DocumentsError, PlanError
from orchestrator.model.address import Address
from orchestrator.model.change import Action, Known, Plan, Scope
from orchestrator.model.observation import Absent, Difference, Observation, Present, Tally, Unreachable
from orchestrator.model.record import Record
from orchestrator.model.source import Diagnostic, Source
from orchestrator.model.values import Unknown
from tests.planning.support import ESTATE, SALT, desired, present, record, unit

MACHINE = Address.parse("s/shop/stable/db/machine/db-0")
WEB = Address.parse("s/shop/agile/web/Service/web/web")
AGAIN = Address.parse("s/shop/agile/web/Service/web/again")


def resolve(known: Known) -> Desired:
    """The web refers to the machine's address, another object to the web's."""
    address = known.machines.get(MACHINE, {}).get("address", Unknown("string", frozenset({str(MACHINE)})))
    uid = known.objects.get(WEB, {}).get("uid", Unknown("string", frozenset({str(WEB)})))
    return desired(
        [
            unit(str(MACHINE), {"image": "b"}),
            unit(str(WEB), {"object": {"address": address}}, needs=[str(MACHINE)]),
            unit(str(AGAIN), {"object": {"uid": uid}}, needs=[str(WEB)]),
        ]
    )


KNOWN = Known(machines={MACHINE: {"address": "10.0.0.1"}}, objects={WEB: {"uid": "u1"}})


def settled(observed: dict[Address, Observation], known: Known = KNOWN) -> dict[Address, Any]:
    made = planning.settle(
        resolve,
        known,
        planning.Situation(
            estate="acme",
            estate_id=ESTATE,
            observed=observed,
            records={},
            scope=Scope(),
            sites={"s"},
        ),
    )
    return {change.address: change.action for change in made.changes}


def as_declared() -> dict[Address, Observation]:
    return {one.address: present(one) for one in resolve(KNOWN).units}


def test_nothing_to_do_keeps_everything_known() -> None:
    assert set(settled(as_declared()).values()) == {Action.NONE}


def test_what_depends_on_a_machine_that_is_replaced_is_known_later() -> None:
    old = unit(str(MACHINE), {"image": "a"})
    observed = as_declared()
    observed[MACHINE] = Present(old.stamp(ESTATE, SALT), differences=(Difference("image", new="b", replace=True),))
    assert settled(observed) == {MACHINE: Action.REPLACE, WEB: Action.LATER, AGAIN: Action.NONE}


def test_what_depends_on_an_object_that_is_replaced_is_known_later() -> None:
    observed = as_declared()
    stamp = unit(str(WEB), {"object": {"address": "10.0.0.2"}}).stamp(ESTATE, SALT)
    observed[WEB] = Present(stamp, differences=(Difference("spec.clusterIP", replace=True),))
    assert settled(observed) == {MACHINE: Action.NONE, WEB: Action.REPLACE, AGAIN: Action.LATER}


def test_a_machine_that_is_only_changed_stays_where_it_is() -> None:
    observed = as_declared()
    observed[MACHINE] = Present(unit(str(MACHINE), {"image": "a"}).stamp(ESTATE, SALT))
    assert settled(observed) == {MACHINE: Action.UPDATE, WEB: Action.NONE, AGAIN: Action.NONE}


def test_inputs_that_nothing_will_tell_are_held() -> None:
    observed = as_declared()
    assert settled(observed, Known(machines=KNOWN.machines))[AGAIN] == Action.HOLD


def test_documents_with_errors_plan_nothing() -> None:
    wrong = Desired(units=(), outputs={}, notes=(), diagnostics=(Diagnostic(Source("a.yaml", 1, 1), "wrong"),))
    with pytest.raises(DocumentsError, match=r"a\.yaml:1:1: wrong"):
        planning.plan(
            wrong,
            planning.Situation(
                estate="acme",
                estate_id=ESTATE,
                observed={WEB: present(unit(str(WEB)))},
                records={},
                scope=Scope(),
                sites={"s"},
            ),
        )


@dataclass(frozen=True)
class Sight:
    observed: dict[Address, Observation] = field(default_factory=dict)
    records: dict[Address, Record] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)


def forgetting(sight: Sight) -> Plan:
    return planning.forgetting(sight, WEB, estate="acme", estate_id=ESTATE)


def test_forgetting_lets_go_of_what_is_ours_even_if_it_cannot_be_seen() -> None:
    web = unit(str(WEB))
    for sight in (
        Sight({WEB: present(web)}),
        Sight({WEB: Unreachable("down")}, {WEB: record(web)}),
        Sight({}, {WEB: record(web)}),
    ):
        [change] = forgetting(sight).changes
        assert (change.action, change.unit, change.wave) == (Action.FORGET, None, 1)


def test_forgetting_what_is_not_ours_is_refused() -> None:
    for sight in (Sight(), Sight({WEB: Absent()}), Sight({WEB: Present(None)})):
        with pytest.raises(PlanError, match="nothing of ours"):
            forgetting(sight)
