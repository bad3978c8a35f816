"""What is remembered of a step: the store's records are a cache of what the targets say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.execution.look import Sight
from orchestrator.execution.world import World
from orchestrator.model.address import CONFIGURATION, MACHINE, PROGRAM, Address
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Coverage, Present
from orchestrator.model.outcome import Lease, Outcome, Result
from orchestrator.model.record import Record
from orchestrator.model.unit import Unit
from orchestrator.model.values import masked

# What it takes to undo a configuration after it has left the documents.
_UNDO = ("host", "playbook", "remove", "label")


def remember(world: World, change: Change, outcome: Outcome, run: int, lease: Lease) -> None:
    """Write down what a step has left behind; a step that failed leaves the record as it was."""
    if outcome.result != Result.DONE:
        return
    if change.unit is None:
        world.store.forget(change.address, lease)
        return
    if (moved := moved_from(change)) is not None:
        world.store.forget(moved, lease)
    facts = outcome.facts or (change.seen.facts if isinstance(change.seen, Present) else {})
    world.store.save(
        _record(
            change.unit,
            outcome.digest,
            facts,
            uid=outcome.uid,
            run=run,
            seen_at=world.clock(),
            coverage=outcome.coverage,
        ),
        lease,
    )


def moved_from(change: Change) -> Address | None:
    """The address under which the thing was found, where that is another one."""
    seen = change.seen
    if change.action == Action.UPDATE and isinstance(seen, Present) and seen.stamp:
        return seen.stamp.address if seen.stamp.address != change.address else None
    return None


def refresh(world: World, sight: Sight, estate_id: str) -> None:
    """Record what was found as declared but is not in the store: after the state was lost, or in a second clone."""
    found = []
    for unit in sight.desired.units:
        seen = sight.observed.get(unit.address)
        if not isinstance(seen, Present) or seen.stamp is None or not _differs(sight, unit, seen) or unit.unknown:
            continue
        ours = seen.stamp.estate == estate_id and seen.stamp.address == unit.address
        if ours and seen.stamp.digest == unit.digest(seen.stamp.salt):
            digest, at = seen.stamp.digest, world.clock()
            found.append(_record(unit, digest, seen.facts, uid=seen.uid, run=0, seen_at=at, coverage=seen.coverage))
    if found:
        with world.store.together():
            for record in found:
                world.store.save(record, None)


def _differs(sight: Sight, unit: Unit, seen: Present) -> bool:
    """Whether the record says something else than what stands there and what is declared of it."""
    record = sight.records.get(unit.address)
    if record is None or seen.stamp is None:
        return True
    facts = dict(seen.facts) if unit.address.kind == MACHINE else dict(record.facts)
    return (record.digest, record.protected, record.blueprint, dict(record.facts)) != (
        seen.stamp.digest,
        str(unit.protected or ""),
        unit.blueprint,
        facts,
    )


def _record(
    unit: Unit,
    digest: str,
    facts: Mapping[str, Any],
    *,
    uid: str,
    run: int,
    seen_at: float,
    coverage: Coverage | None,
) -> Record:
    verified = {"coverage": [coverage.verified, coverage.total]} if coverage else {}
    is_machine, is_configuration = (unit.address.kind == kind for kind in (MACHINE, CONFIGURATION))
    return Record(
        address=unit.address,
        digest=digest,
        identity=unit.identity,
        inputs=masked(dict(unit.inputs)) if is_machine or is_configuration or unit.address.kind == PROGRAM else {},
        facts=dict(facts) if is_machine else {},
        spec={key: unit.spec.get(key) for key in _UNDO} | verified if is_configuration else {},
        uid=uid,
        blueprint=unit.blueprint,
        protected=str(unit.protected or ""),
        run=run,
        seen_at=seen_at,
    )
