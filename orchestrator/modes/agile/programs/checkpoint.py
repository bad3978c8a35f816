"""A stack's state as Pulumi's own file backend keeps it: JSON, with everything secret encrypted."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestrator.model.values import Value
from orchestrator.modes.agile.programs import values
from orchestrator.modes.agile.programs.events import label_of
from orchestrator.modes.agile.programs.secrets import Vault

_ROOT = "pulumi:pulumi:Stack"
_PROVIDERS = "pulumi:providers:"


@dataclass(frozen=True)
class Checkpoint:
    """One state of a stack. `serial` grows with every state that is kept; 0 is a stack that never was."""

    content: bytes
    serial: int = 0

    @classmethod
    def empty(cls, project: str, stack: str) -> Checkpoint:
        """A stack without anything in it."""
        data = {"version": 3, "checkpoint": {"stack": f"organization/{project}/{stack}", "latest": None}}
        return cls(json.dumps(data).encode())

    @classmethod
    def unpacked(cls, packed: bytes, serial: int) -> Checkpoint:
        """From its compressed form. Raises OSError or EOFError where it is damaged."""
        return cls(gzip.decompress(packed), serial)

    def packed(self) -> bytes:
        """Compressed, always in the same way."""
        return gzip.compress(self.content, mtime=0)

    @cached_property
    def digest(self) -> str:
        """Of its content."""
        return hashlib.sha256(self.content).hexdigest()[:32]

    @cached_property
    def _latest(self) -> Mapping[str, Any]:
        try:
            return json.loads(self.content)["checkpoint"]["latest"] or {}
        except (ValueError, KeyError, TypeError):
            return {}

    @property
    def is_readable(self) -> bool:
        """Whether it is a checkpoint at all."""
        try:
            return "checkpoint" in json.loads(self.content)
        except (ValueError, TypeError):
            return False

    @property
    def salt(self) -> str:
        """What its secrets are encrypted with besides the passphrase; empty where nothing is."""
        state = (self._latest.get("secrets_providers") or {}).get("state") or {}
        return str(state.get("salt") or "")

    @property
    def resources(self) -> list[Mapping[str, Any]]:
        """What it has, but for the stack itself and its providers."""
        return [
            one
            for one in self._latest.get("resources") or []
            if one.get("type") != _ROOT and not str(one.get("type")).startswith(_PROVIDERS)
        ]

    @property
    def providers(self) -> list[tuple[str, str]]:
        """The provider plugins that it needs: name, and version where one is asked for."""
        found: dict[tuple[str, str], None] = {}
        for one in self._latest.get("resources") or []:
            if str(one.get("type")).startswith(_PROVIDERS):
                name = str(one["type"]).removeprefix(_PROVIDERS)
                found[name, str((one.get("inputs") or {}).get("version") or "")] = None
        return list(found)

    @property
    def pending(self) -> list[str]:
        """Operations that were begun and of which nobody knows the end: `creating aws:Bucket assets`."""
        operations = self._latest.get("pending_operations") or []
        return [f"{one.get('type')} {label_of(str((one.get('resource') or {}).get('urn')))}" for one in operations]

    @property
    def exports(self) -> Mapping[str, Any]:
        """What its program exported, secrets encrypted."""
        for one in self._latest.get("resources") or []:
            if one.get("type") == _ROOT:
                return one.get("outputs") or {}
        return {}

    def outputs(self, passphrase: str) -> dict[str, Value]:
        """What its program exported. Raises secrets.WrongPassphrase where a secret cannot be opened."""

        def reveal(ciphertext: str) -> Any:
            return json.loads(Vault(passphrase, self.salt).decrypt(ciphertext))

        return {name: values.read(value, reveal) for name, value in self.exports.items()}
