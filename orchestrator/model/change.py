"""Changes and plans: values that can be shown, saved, compared and refused when stale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from orchestrator.model.address import Address, Mode
from orchestrator.model.observation import Difference, Note, Observation, Tally
from orchestrator.model.record import Record
from orchestrator.model.rollout import Batch, Rollout
from orchestrator.model.unit import Unit


class Action(StrEnum):
    """What a plan does with a unit."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    ADOPT = "adopt"
    LATER = "later"  # inputs are known after an earlier wave; what it needs is decided then
    WAIT = "wait"  # as declared, not ready yet
    FORGET = "forget"  # our record ends, the thing stays
    CONFLICT = "conflict"  # there, but not ours
    HOLD = "hold"  # cannot be seen, or waits for what cannot be seen
    NONE = "none"

    @property
    def acts(self) -> bool:
        """Whether a run does something about it."""
        return self not in (Action.NONE, Action.HOLD, Action.CONFLICT)


@dataclass(frozen=True, slots=True)
class Change:
    """One unit's step, always with a reason.

    unit    what should be; None where it has left the documents
    seen    what the plan was made from
    record  what was remembered of it
    wave    1 for what comes first; 0 where nothing is done
    drift   whether what is there left what we had applied (and not: the documents changed)
    batch   where it is rolled out in several: of a workload's machines, or of a placement's sites
    """

    address: Address
    action: Action
    reason: str
    unit: Unit | None = None
    seen: Observation | None = None
    record: Record | None = None
    differences: tuple[Difference, ...] = ()
    wave: int = 0
    drift: bool = False
    batch: Batch | None = None

    @property
    def why(self) -> str:
        """The reason, and the batch."""
        return f"{self.reason} ({self.batch})" if self.batch else self.reason

    @property
    def shown(self) -> bool:
        """Whether there is anything to say: something is done or held, or a drift is only reported."""
        return self.action != Action.NONE or self.drift


@dataclass(frozen=True, slots=True)
class Scope:
    """What a command is limited to, for changes and pruning alike; None means all.

    `sites` are site names (a selector is resolved before); `targets` are addresses or their prefixes, and so is
    `again`: what is applied although it is as declared.
    """

    sites: frozenset[str] | None = None
    placements: frozenset[str] | None = None
    modes: frozenset[Mode] | None = None
    targets: tuple[str, ...] | None = None
    again: tuple[str, ...] = ()

    def includes(self, address: Address) -> bool:
        """Whether a unit lies in this scope."""
        return (
            (self.sites is None or address.site in self.sites)
            and (self.placements is None or address.placement in self.placements)
            and (self.modes is None or address.mode in self.modes)
            and (self.targets is None or any(address.lies_at(target) for target in self.targets))
        )

    def asks_again(self, address: Address) -> bool:
        """Whether a unit is to be applied although it is as declared."""
        return any(address.lies_at(target) for target in self.again)


@dataclass(frozen=True, slots=True)
class Plan:
    """Ordered changes, all units included, what they were computed from, and how each placement rolls out a mode."""

    estate: str
    estate_id: str
    changes: tuple[Change, ...]
    notes: tuple[Note, ...] = ()
    scope: Scope = field(default_factory=Scope)
    tally: Tally = field(default_factory=Tally)
    rollouts: Mapping[tuple[str, Mode], Rollout] = field(default_factory=dict)

    @property
    def acting(self) -> tuple[Change, ...]:
        """The changes that a run would do something about."""
        return tuple(c for c in self.changes if c.action.acts)

    def summary(self) -> dict[str, int]:
        """How many units each action has, all actions present."""
        counts = {str(action): 0 for action in Action}
        for change in self.changes:
            counts[change.action] += 1
        return counts


@dataclass(frozen=True, slots=True)
class Known:
    """What the targets have told and expressions may read.

    machines  a machine unit's address -> its facts (`address`, `vars`)
    objects   a Kubernetes unit's address -> the object as it lives
    hosts     a site's name -> inventory name -> {"address": str, "groups": [str]} of its static inventory
    """

    machines: Mapping[Address, Mapping[str, Any]] = field(default_factory=dict)
    objects: Mapping[Address, Mapping[str, Any]] = field(default_factory=dict)
    hosts: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)


def in_order(changes: Sequence[Change]) -> list[Change]:
    """The order in which everything is shown: site, placement, mode (stable first), workload, unit."""

    def key(change: Change) -> tuple[object, ...]:
        a = change.address
        return (a.site, a.placement, a.mode != Mode.STABLE, a.workload, a.kind != "machine", a.kind, a.name)

    return sorted(changes, key=key)
