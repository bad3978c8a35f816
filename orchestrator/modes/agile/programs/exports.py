"""A program's exports against the outputs that its workload declares: what is wrong is said before it is relied on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.model.values import Secret, Unknown, Value, has_secret, has_unknown

_TYPES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "list",
    dict: "map",
}


def problems(exports: Mapping[str, Value], declared: Mapping[str, Any]) -> Iterator[str]:
    """What does not fit: each export with its declared type, and nothing undeclared or missing."""
    for name, value in sorted(exports.items()):
        if name not in declared:
            yield f"it exports `{name}`, which is not declared; declare it under `outputs`, or export it no more"
        elif (given := _misfit(str(declared[name]), value)) is not None:
            yield f"it exports `{name}` as {_words(given)}, declared is {_words(str(declared[name]))}"
    for name in sorted(set(declared) - set(exports)):
        yield f"it does not export `{name}`, which is declared; pulumi.export({name!r}, …)"


def after(now: Mapping[str, Value], previewed: Mapping[str, Value], address: str) -> dict[str, Value]:
    """What is known of the exports that an update will leave: those that a preview shows as they are now.

    A secret is not known before: a preview does not tell whether it stays.
    """
    found: dict[str, Value] = {}
    for name in {*now, *previewed}:
        value, is_secret = previewed.get(name), has_secret(now.get(name)) or has_secret(previewed.get(name))
        if name in now and not is_secret and not has_unknown(value) and now[name] == value:
            found[name] = value
        else:
            found[name] = Unknown("any", frozenset({address}), is_secret)
    return found


def _misfit(declared: str, value: Value) -> str | None:
    """The type that a value has, where that is not the declared one; None where it fits or nobody can tell."""
    plain = value.reveal() if isinstance(value, Secret) else value
    if isinstance(value, Unknown) or (isinstance(value, Secret) and plain is None):
        return None
    given = "null" if plain is None else _TYPES.get(type(plain), "any")
    fits = given == declared or (declared, given) in (("number", "integer"), ("secret", "string"))
    return None if fits else given


def _words(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}" if kind != "null" else "null"
