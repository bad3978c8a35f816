"""What holds of every plan, whatever is declared, seen and remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from orchestrator import planning
from orchestrator.errors import PlanError
from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change, Plan, Scope
from orchestrator.model.observation import Absent, Difference, Observation, Present, Unreachable
from orchestrator.model.record import Record
from orchestrator.model.unit import Unit
from orchestrator.model.values import Secret, Unknown
from tests.planning.support import ESTATE, SALT, desired, present, record, unit

PLACES = [
    f"{site}/{placement}/{rest}"
    for site in ("a", "b")
    for placement in ("shop", "blog")
    for rest in (
        "stable/db/machine/db-0",
        "stable/db/configuration/db-0",
        "stable/app/configuration/host",
        "agile/web/Deployment.apps/web/web",
        "agile/web/Service/web/web",
        "agile/jobs/ConfigMap/web/jobs",
    )
]
SCOPES = [
    Scope(),
    Scope(sites=frozenset({"a"})),
    Scope(placements=frozenset({"shop"})),
    Scope(targets=("a/shop/agile",)),
]


@st.composite
def units(draw: st.DrawFn) -> list[Unit]:
    """Some of the places, each needing some earlier ones of its site, and a configuration its machine."""
    chosen = draw(st.lists(st.sampled_from(PLACES), unique=True, max_size=10))
    chosen.sort(key=PLACES.index)
    made: list[Unit] = []
    for index, text in enumerate(chosen):
        earlier = [one for one in chosen[:index] if one[0] == text[0]]
        needs = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=2)) if earlier else []
        needs += [one for one in earlier if one == text.replace("/configuration/", "/machine/") and one not in needs]
        value: Any = draw(st.sampled_from([1, 2, Secret("s3cret"), None]))
        if value is None and needs:
            value = Unknown("string", frozenset({needs[0]}))
        made.append(unit(text, {"vars.x": value}, needs=needs, protected=draw(st.sampled_from([False] * 9 + [True]))))
    return made


def observations(text: str) -> st.SearchStrategy[Observation]:
    stamps = st.sampled_from(
        [
            None,
            unit(text, {"vars.x": 1}).stamp(ESTATE, SALT),
            unit(text, {"vars.x": 2}).stamp(ESTATE, SALT),
            unit(text, {"vars.x": 1}).stamp("other", SALT),
            unit("a/shop/agile/moved/Service/web/web", {"vars.x": 1}).stamp(ESTATE, SALT),
        ]
    )
    differences = st.sampled_from([(), (Difference("x", 1, 2, "kubectl"),), (Difference("y", 1, 2, replace=True),)])
    presents = st.builds(Present, stamps, st.booleans(), differences=differences)
    return st.one_of(st.just(Absent()), st.just(Unreachable("down")), presents)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Unit], Mapping[Address, Observation], Mapping[Address, Record], Scope]:
    declared = draw(units())
    also = draw(st.lists(st.sampled_from(PLACES), unique=True, max_size=4))
    texts = {str(one.address) for one in declared} | set(also)
    seen = {Address.parse(text): draw(observations(text)) for text in sorted(texts)}
    remembered = draw(st.lists(st.sampled_from(PLACES), unique=True, max_size=8))
    records = {Address.parse(text): record(unit(text, {"vars.x": 1})) for text in remembered}
    return declared, seen, records, draw(st.sampled_from(SCOPES))


def plan(
    declared: list[Unit], seen: Mapping[Address, Observation], records: Mapping[Address, Record], scope: Scope
) -> Plan:
    return planning.plan(
        desired(declared),
        planning.Situation(
            estate="acme",
            estate_id=ESTATE,
            observed=seen,
            records=records,
            scope=scope,
            sites={"a", "b"},
        ),
    )


def plan_or_none(world: tuple[list[Unit], Mapping[Address, Observation], Mapping[Address, Record], Scope]) -> Plan:
    try:
        return plan(*world)
    except PlanError:
        assume(False)
        raise


@given(worlds())
def test_every_unit_in_scope_appears_once_and_nothing_else(world) -> None:  # type: ignore[no-untyped-def]
    declared, _, _, scope = world
    made = plan_or_none(world)
    addresses = [change.address for change in made.changes]
    assert len(addresses) == len(set(addresses))
    assert {one.address for one in declared if scope.includes(one.address)} <= set(addresses)
    assert all(scope.includes(address) for address in addresses)
    assert all(change.reason for change in made.changes)


@given(worlds())
def test_waves_respect_needs_and_have_no_gaps(world) -> None:  # type: ignore[no-untyped-def]
    made = plan_or_none(world)
    waves = {change.address: change.wave for change in made.changes}
    for change in made.changes:
        assert (change.wave > 0) == change.action.acts
        for need in change.unit.needs if change.unit and change.action.acts else ():
            assert waves.get(need, 0) < change.wave
    for site in ("a", "b"):
        numbers = {wave for address, wave in waves.items() if address.site == site and wave}
        assert numbers == set(range(1, len(numbers) + 1))


@given(worlds())
def test_only_what_bears_our_stamp_at_its_address_is_deleted(world) -> None:  # type: ignore[no-untyped-def]
    declared = {one.address for one in world[0]}
    for change in plan_or_none(world).changes:
        if change.action in (Action.DELETE, Action.FORGET):
            assert isinstance(change.seen, Present)
            assert change.seen.stamp is not None
            assert (change.seen.stamp.estate, change.seen.stamp.address) == (ESTATE, change.address)
            assert change.address not in declared


def acts_on_what_is_not_seen(change: Change, made: Plan) -> bool:
    machine = replace(change.address, kind="machine")
    new = any(other.address == machine and other.action in (Action.CREATE, Action.REPLACE) for other in made.changes)
    return change.action.acts and not (change.address.kind == "configuration" and new)


@given(worlds())
def test_unreachable_is_never_acted_upon(world) -> None:  # type: ignore[no-untyped-def]
    made = plan_or_none(world)
    for change in made.changes:
        if isinstance(world[1].get(change.address), Unreachable):
            assert not acts_on_what_is_not_seen(change, made)


@given(worlds())
def test_destroy_takes_away_in_reverse(world) -> None:  # type: ignore[no-untyped-def]
    made = plan_or_none(world)
    try:
        taken = planning.destroy(made)
    except PlanError:
        assume(False)
        raise
    needs = {change.address: change.unit.needs for change in made.changes if change.unit}
    waves = {change.address: change.wave for change in taken.changes if change.action.acts}
    for address, wave in waves.items():
        assert all(waves[need] > wave for need in needs.get(address, ()) if need in waves)
    assert not [c for c in taken.changes if c.action not in (Action.DELETE, Action.FORGET, Action.HOLD, Action.NONE)]


@given(units())
def test_what_was_just_applied_is_as_declared(declared: list[Unit]) -> None:
    assume(not any(one.unknown for one in declared))
    seen = {one.address: present(one) for one in declared}
    made = plan(declared, seen, {one.address: record(one) for one in declared}, Scope())
    assert {change.action for change in made.changes} <= {Action.NONE}
    assert not planning.drifted(made).changes


@given(worlds())
def test_no_secret_is_in_any_reason(world) -> None:  # type: ignore[no-untyped-def]
    for change in plan_or_none(world).changes:
        assert "s3cret" not in change.reason
        assert "s3cret" not in str(change)
