"""Values as Pulumi's engine writes them in events and checkpoints: secrets and unknowns among plain JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.model.values import Secret, Unknown, Value
from orchestrator.modes.agile.programs.secrets import ciphertext_of

UNKNOWN = re.compile("04da6b54-80e4-46f7-96ec-b56ff033[0-9a-f]{4}")  # one text for each type
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"  # an output value: `value` (missing: not known), `secret`

Reveal = Callable[[str], Any]  # a secret's ciphertext -> its value


def hidden(ciphertext: str) -> Any:
    """For what is only shown: the value stays where it is."""
    return None


def read(value: Any, reveal: Reveal, needs: frozenset[str] = frozenset()) -> Value:
    """The value as ours; where it is not known it waits for `needs`."""
    if (ciphertext := ciphertext_of(value)) is not None:
        return _secret(reveal(ciphertext))
    if isinstance(value, Mapping):
        if value.get(_SIGNATURE) == _OUTPUT:
            inner = read(value["value"], reveal, needs) if "value" in value else Unknown("any", needs)
            return _secret(inner) if value.get("secret") else inner
        if _SIGNATURE in value:  # an asset, an archive, a reference to a resource
            return {key: read(inner, reveal, needs) for key, inner in value.items() if key != _SIGNATURE}
        return {str(key): read(inner, reveal, needs) for key, inner in value.items()}
    if isinstance(value, list):
        return [read(inner, reveal, needs) for inner in value]
    if isinstance(value, str) and UNKNOWN.fullmatch(value):
        return Unknown("any", needs)
    if isinstance(value, float) and value.is_integer():
        return int(value)  # JSON has one kind of number
    return value  # type: ignore[no-any-return]


def _secret(value: Value) -> Value:
    """Secrets are scalars: of a map or a list each leaf is one."""
    if isinstance(value, Mapping):
        return {key: _secret(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_secret(inner) for inner in value]
    if isinstance(value, Unknown):
        return Unknown(value.type, value.needs, secret=True)
    return value if isinstance(value, Secret) else Secret(value, "an output of Pulumi")


def at(value: Value, path: str) -> Value:
    """What is at a property path (`a.b[0]["x.y"]`); None where there is nothing."""
    found = value
    for step in steps(path):
        if isinstance(found, Mapping) and isinstance(step, str):
            found = found.get(step)
        elif isinstance(found, list) and isinstance(step, int) and step < len(found):
            found = found[step]
        else:
            return found if isinstance(found, Secret | Unknown) else None
    return found


def steps(path: str) -> list[str | int]:
    """The steps of a property path."""
    found: list[str | int] = []
    for name, index, quoted in re.findall(r'([^.\[\]]+)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]', path):
        found.append(int(index) if index else name or re.sub(r"\\(.)", r"\1", quoted))
    return found
