"""What the state store remembers of a unit: a cache of what the targets say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.model.address import Address


@dataclass(frozen=True, slots=True)
class Record:
    """The unit as it was last applied.

    inputs  name -> text for a person (secrets masked), so that a plan can show old -> new
    facts   what is needed to find and reach it again: a machine's address and connection variables
    spec    what is needed to undo it when it has left the documents (masked; a configuration's `host`, `remove`),
            and a configuration's `coverage`: [tasks that can be verified, all that change something]
    """

    address: Address
    digest: str
    identity: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    uid: str = ""
    blueprint: str = ""
    protected: str = ""
    run: int = 0
    seen_at: float = 0.0
