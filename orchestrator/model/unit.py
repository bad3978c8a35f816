"""Units, the smallest things that are observed and changed on their own, and the stamps they leave on their targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.model.address import Address
from orchestrator.model.source import Source
from orchestrator.model.values import Value, digest, has_secret, unknown_in


@dataclass(frozen=True, slots=True)
class Stamp:
    """What we leave on the target: whose it is, which unit, and the digest of what was applied.

    `inputs` maps each input's name to its digest, so that a plan can say which one changed. `salt` keys the
    digests of inputs that hold secrets; it lies beside the secret anyway. `blueprint` is `name version`; `protected`
    says where `protect: true` was written, so that it holds where everything else is lost.
    """

    estate: str
    address: Address
    digest: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    salt: str = ""
    identity: str = ""
    blueprint: str = ""
    protected: str = ""

    def as_data(self) -> dict[str, Any]:
        """Plain JSON data, the form in which every target stores it."""
        return {
            "estate": self.estate,
            "address": str(self.address),
            "digest": self.digest,
            "inputs": dict(self.inputs),
            "salt": self.salt,
            "identity": self.identity,
            "blueprint": self.blueprint,
            **({"protected": self.protected} if self.protected else {}),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Stamp:
        """The stamp that `as_data` wrote. Raises ValueError or KeyError where it is not one."""
        return cls(
            estate=str(data["estate"]),
            address=Address.parse(str(data["address"])),
            digest=str(data["digest"]),
            inputs={str(k): str(v) for k, v in dict(data.get("inputs") or {}).items()},
            salt=str(data.get("salt", "")),
            identity=str(data.get("identity", "")),
            blueprint=str(data.get("blueprint", "")),
            protected=str(data.get("protected", "")),
        )


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing that should be, as resolved from the documents.

    spec      what the driver makes true; its shape belongs to the address's kind (see desired/units.py)
    inputs    name -> value of everything the digest covers
    identity  what it is on its target, whatever its address: two units of one site with one identity are an error,
              and a thing found under another address is the same thing, moved
    needs     the units that come first
    protected where `protect: true` was written, or None
    blueprint `name version` of the blueprint it comes from
    at        where a field of an object comes from, by its path: None where only the whole is known
    """

    address: Address
    spec: Mapping[str, Value]
    inputs: Mapping[str, Value]
    identity: str
    source: Source
    needs: frozenset[Address] = frozenset()
    protected: Source | None = None
    blueprint: str = ""
    at: Callable[[tuple[str | int, ...]], Source] | None = field(default=None, repr=False, compare=False)
    _digests: dict[str, tuple[dict[str, str], str]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # by salt: a plan asks for them several times

    @property
    def unknown(self) -> frozenset[str]:
        """The addresses that inputs still wait for; empty when all is known."""
        found = unknown_in(dict(self.inputs))
        return frozenset().union(*(leaf.needs or {"?"} for leaf in found)) if found else frozenset()

    @property
    def secret(self) -> bool:
        """Whether any input is secret, so that its digests need a salt."""
        return has_secret(dict(self.inputs))

    def input_digests(self, salt: str) -> dict[str, str]:
        """The digest of each input. Raises ValueError where one is unknown."""
        return dict(self._digested(salt)[0])

    def digest(self, salt: str) -> str:
        """The digest of the whole unit. Raises ValueError where an input is unknown."""
        return self._digested(salt)[1]

    def _digested(self, salt: str) -> tuple[dict[str, str], str]:
        found = self._digests.get(salt)
        if found is None:
            inputs = {name: digest(value, salt) for name, value in sorted(self.inputs.items())}
            found = self._digests[salt] = inputs, digest(dict(inputs))
        return found

    def stamp(self, estate: str, salt: str) -> Stamp:
        """The stamp to leave on the target. `salt` is random; it is dropped where nothing is secret."""
        kept = salt if self.secret else ""
        return Stamp(
            estate=estate,
            address=self.address,
            digest=self.digest(kept),
            inputs=self.input_digests(kept),
            salt=kept,
            identity=self.identity,
            blueprint=self.blueprint,
            protected=str(self.protected or ""),
        )
