"""Everything that a plan is made from, beside what should be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.model.address import Address, Mode
from orchestrator.model.change import Scope
from orchestrator.model.observation import Note, Observation, Tally
from orchestrator.model.record import Record
from orchestrator.planning.batches import Rollouts

Removable = Callable[[Mapping[str, Any]], str]
"""What is known of a configuration (`host`, `remove`, `label`) -> why its `remove` playbook cannot be run, or ""."""


def can_be_removed(spec: Mapping[str, Any]) -> str:
    """A configuration can be undone where it says how."""
    return "" if spec.get("remove") else "it has no remove playbook"


@dataclass(frozen=True, slots=True)
class Situation:
    """What was seen and is remembered of an estate, and how it is to be planned.

    estate     its name
    scope      what is planned; the rest is only looked at
    sites      the declared ones
    adopting   units that are taken over if they are not ours
    removable  why a configuration that left the documents cannot be undone ("" if it can)
    answered   the modes of sites that were looked at (None: all): a record of another one is held, not gone
    rollouts   the placements' policies: which batches their changes are made in
    tally      what looking has cost
    """

    estate: str
    estate_id: str
    observed: Mapping[Address, Observation]
    records: Mapping[Address, Record]
    scope: Scope
    sites: Collection[str]
    adopting: frozenset[Address] = frozenset()
    removable: Removable = can_be_removed
    answered: Collection[tuple[str, Mode]] | None = None
    rollouts: Rollouts = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    notes: Collection[Note] = ()
