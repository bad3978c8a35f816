"""What a driver saw: `Present`, `Absent` or `Unreachable`; never a guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from orchestrator.model.address import Address
from orchestrator.model.unit import Stamp
from orchestrator.model.values import Value


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not as declared: `old` is what is there, `new` what should be (None: nothing).

    `by` names who changed it, where that is known; `replace` says that it cannot be changed in place,
    `restart` that it can while the thing does not run. `healed` counts how often we have set it back lately against the
    same `by`; `kept`: it is only reported, and stays as it is. `since` is between which times it began (seconds since
    the epoch; both the same where that is known exactly), None if unknown.
    """

    path: str
    old: Value = None
    new: Value = None
    by: str = ""
    replace: bool = False
    restart: bool = False
    healed: int = 0
    kept: bool = False
    since: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that a target has against what is declared, and `file:line:column` of where that was written."""

    why: str
    where: str

    def __str__(self) -> str:
        return f"{self.why} ({self.where})"


@dataclass(frozen=True, slots=True)
class Flapping:
    """A difference that comes and goes: it came `times` times in the last `looks` looks."""

    path: str
    times: int
    looks: int


@dataclass(frozen=True, slots=True)
class Restart:
    """What was started again since it was left, which is no difference.

    `at` is in seconds since the epoch, `itself` how often its supervisor did that by itself.
    """

    what: str
    at: float
    itself: int = 0


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of what a configuration manages can be verified: `verified` of `total` tasks; the others' names."""

    verified: int
    total: int
    unverified: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Present:
    """The thing is there.

    stamp        whose it is; None if it never was ours
    ready        whether it works; if not, `because` says why
    differences  the declared fields that are not as declared (units with unknown values: of the known ones)
    refused      why the target would not take what is declared, where that is known before
    owner        who made it, for a person, where it is not ours and that can be told
    facts        what outputs may refer to: a machine's `address` and `vars`, a Kubernetes object as it lives
    flapping     differences that come and go, whether or not they are there now
    restarted    what was started again since it was left
    pending      handlers that were notified and have not run
    uid          the target's own identity of it, checked again before it is deleted
    """

    stamp: Stamp | None
    ready: bool = True
    because: str = ""
    differences: tuple[Difference, ...] = ()
    refused: tuple[Refusal, ...] = ()
    owner: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    flapping: tuple[Flapping, ...] = ()
    restarted: tuple[Restart, ...] = ()
    pending: tuple[str, ...] = ()
    uid: str = ""
    coverage: Coverage | None = None
    seen_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Absent:
    """The target answered, and the thing is not there.

    `differences` say what making it would bring, where that was asked: a program's resources. `refused` says why the
    target would not take it, if that is known.
    """

    seen_at: float = 0.0
    differences: tuple[Difference, ...] = ()
    refused: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The target did not answer; nothing is known. `cause` is the same text for all units that share one cause.

    `what` is the word for it: a program that cannot be previewed is known no better, for another reason.
    """

    why: str
    cause: str = ""
    seen_at: float = 0.0
    what: str = "unreachable"


Observation: TypeAlias = Present | Absent | Unreachable


@dataclass(frozen=True, slots=True)
class Tally:
    """What observing or applying has cost."""

    units: int = 0
    seconds: float = 0.0
    requests: int = 0
    ansible_runs: int = 0
    pulumi_runs: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.units + other.units,
            self.seconds + other.seconds,
            self.requests + other.requests,
            self.ansible_runs + other.ansible_runs,
            self.pulumi_runs + other.pulumi_runs,
        )


@dataclass(frozen=True, slots=True)
class Note:
    """One line about a placement at a site that is no change, as `webshop 1.4.0 → 1.5.0`."""

    site: str
    placement: str
    text: str


@dataclass(frozen=True, slots=True)
class Observed:
    """One driver's answer.

    `units` has an entry for each unit asked for (what stands at its identity, whatever stamp it bears), and one under
    its stamped address for each thing of our estate at this site that no unit asked for.
    """

    units: Mapping[Address, Observation]
    notes: tuple[Note, ...] = ()
    tally: Tally = field(default_factory=Tally)
