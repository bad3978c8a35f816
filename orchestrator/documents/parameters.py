"""Whether values fit the parameters that a blueprint declares; and whether the declarations make sense themselves."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from orchestrator.documents.models import Blueprint, Parameter, SecretRef
from orchestrator.documents.scalars import BadScalar, plain
from orchestrator.documents.validation import did_you_mean, in_words
from orchestrator.documents.written import JsonPath, Positions, Written
from orchestrator.model.source import Diagnostic

_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "a text"),
    "integer": ((int,), "a whole number"),
    "number": ((int, float), "a number"),
    "boolean": ((bool,), "true or false"),
    "list": ((list, tuple), "a list"),
    "map": ((dict,), "a map"),
}
_CEL_WORDS = frozenset({"in", "true", "false", "null"})
_BY_REFERENCE = "give it by reference: {secretRef: {env: NAME}} or {secretRef: {file: PATH}}"


def check_declarations(document: Written[Blueprint]) -> Iterator[Diagnostic]:
    """Parameters whose declaration contradicts itself."""
    at = document.at
    for name, parameter in document.model.spec.parameters.items():
        path: JsonPath = ("spec", "parameters", name)
        if name in _CEL_WORDS:
            yield Diagnostic(
                at.of_key(*path), f"`{name}` cannot name a parameter", "it is a word of the expression language"
            )
        yield from _limits(parameter, path, at)
        if parameter.pattern is not None and (wrong := _matches(parameter.pattern, "")) is not None and wrong != "":
            yield Diagnostic(at.of(*path, "pattern"), f"not a regular expression: {wrong}", "it is RE2's syntax")
            continue
        for index, each in enumerate(parameter.enum or ()):
            yield from fits(parameter.model_copy(update={"enum": None}), each, (*path, "enum", index), at, "the choice")
        if parameter.default is not None:
            if parameter.type == "secret":
                source, hint = at.of(*path, "default"), "a Placement gives it by reference"
                yield Diagnostic(source, "a secret has no default", hint, private=True)
            else:
                yield from fits(parameter, parameter.default, (*path, "default"), at, "the default")


def _limits(parameter: Parameter, path: JsonPath, at: Positions) -> Iterator[Diagnostic]:
    """Keys that mean nothing for the parameter's type."""
    fitting = {"minimum": ("integer", "number"), "maximum": ("integer", "number"), "pattern": ("string",)}
    fitting["enum"] = ("string", "integer", "number")
    for key, types in fitting.items():
        if getattr(parameter, key) is not None and parameter.type not in types:
            what = f"`{key}` means nothing for a parameter of type {parameter.type}"
            yield Diagnostic(at.of_key(*path, key), what, f"it is for {' and '.join(types)}")
    if parameter.minimum is not None and parameter.maximum is not None and parameter.minimum > parameter.maximum:
        what = f"the minimum {parameter.minimum} is above the maximum {parameter.maximum}"
        yield Diagnostic(at.of(*path, "minimum"), what)


def check_values(
    values: Mapping[str, Any], path: JsonPath, at: Positions, blueprint: Blueprint
) -> Iterator[Diagnostic]:
    """Values at `path` of a Placement that do not fit the blueprint's parameters."""
    declared = blueprint.spec.parameters
    label = f"{blueprint.metadata.name} {blueprint.metadata.version}"
    for name, value in values.items():
        parameter = declared.get(name)
        if parameter is None:
            what = f"parameter `{name[:60]}` is not declared by {label}"
            has = f"it has {', '.join(declared)}" if declared else "it has no parameters"
            yield Diagnostic(at.of_key(*path, name), what, did_you_mean(name, declared) or has)
        else:
            yield from fits(parameter, value, (*path, name), at, f"parameter `{name}`")


def fits(parameter: Parameter, value: Any, path: JsonPath, at: Positions, what: str) -> Iterator[Diagnostic]:
    """What keeps a value at `path` from fitting a parameter; `what` names it in messages."""
    source = at.of(*path)
    if parameter.type == "secret":
        yield from _secret(value, path, at, what)
        return
    if isinstance(value, dict) and "secretRef" in value:
        hint = f"declare the parameter as `type: secret`, or give {_TYPES[parameter.type][1]}"
        yield Diagnostic(source, f"{what} is a {parameter.type}, not a secret", hint)
        return
    kinds, words = _TYPES[parameter.type]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        yield Diagnostic(source, f"{what} must be {words}, not {in_words(value)}", _type_hint(parameter, value))
        return
    yield from _nested(value, path, at, what)
    if parameter.enum is not None and value not in parameter.enum:
        close = did_you_mean(value, [e for e in parameter.enum if isinstance(e, str)]) if isinstance(value, str) else ""
        allowed = ", ".join(str(each) for each in parameter.enum[:20])
        yield Diagnostic(source, f"{what} must be one of {allowed}", close)
    if isinstance(value, int | float):
        yield from _within(parameter, value, path, at, what)
    if parameter.pattern is not None and isinstance(value, str) and _matches(parameter.pattern, value) == "":
        yield Diagnostic(source, f"{what} does not match the pattern {parameter.pattern[:80]}")


def _type_hint(parameter: Parameter, value: Any) -> str:
    if isinstance(value, str):
        if "${" in value:
            return "values are plain here; expressions are for blueprints"
        return "leave the quotes out" if _unquoted(value) in _TYPES[parameter.type][0] else ""
    return "quote it" if parameter.type == "string" and isinstance(value, bool | int | float) else ""


def _unquoted(text: str) -> type:
    """The type that a text would have without its quotes."""
    try:
        return type(plain(text))
    except BadScalar:
        return str


def _secret(value: Any, path: JsonPath, at: Positions, what: str) -> Iterator[Diagnostic]:
    """A secret comes by reference, never as a plain value in a file."""
    if not isinstance(value, dict) or "secretRef" not in value:
        message = f"{what} is a secret, given as a plain value"
        yield Diagnostic(at.of(*path), message, _BY_REFERENCE, private=True)
    else:
        yield from _reference(value, path, at, what)


def _reference(value: Any, path: JsonPath, at: Positions, what: str) -> Iterator[Diagnostic]:
    try:
        SecretRef.model_validate(value)
    except ValidationError:
        message = f"{what} has a secretRef that is not understood"
        yield Diagnostic(at.of(*path), message, _BY_REFERENCE, private=True)


def _nested(value: Any, path: JsonPath, at: Positions, what: str) -> Iterator[Diagnostic]:
    """References inside lists and maps."""
    if isinstance(value, dict) and "secretRef" in value:
        yield from _reference(value, path, at, what)
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _nested(inner, (*path, key), at, what)


def _within(parameter: Parameter, value: float, path: JsonPath, at: Positions, what: str) -> Iterator[Diagnostic]:
    low, high = parameter.minimum, parameter.maximum
    if (low is not None and value < low) or (high is not None and value > high) or not math.isfinite(value):
        limits = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
        yield Diagnostic(at.of(*path), f"{what} must be {limits}, not {value}")


def _matches(pattern: str, text: str) -> str | None:
    """None where the pattern is found in the text, empty where it is not, else what is wrong with the pattern.

    RE2, by the expression library: its time is bounded, whatever the pattern.
    """
    from cel_expr_python import cel

    result = _matcher().eval(data={"text": text, "pattern": pattern})
    if result.type() == cel.Type.BOOL:
        return None if result.value() else ""
    return str(result.value()).rpartition("regular expression: ")[2]


@functools.cache
def _matcher() -> Any:
    from cel_expr_python import cel

    string = cel.Type.STRING
    return cel.NewEnv(variables={"text": string, "pattern": string}).compile("text.matches(pattern)")


def missing(blueprint: Blueprint, given: Collection[str]) -> list[str]:
    """Parameters without a default that are not among the given names."""
    declared = blueprint.spec.parameters.items()
    return [name for name, parameter in declared if parameter.default is None and name not in given]


def missing_hint(blueprint: Blueprint, name: str) -> str:
    """How to give a parameter that is missing."""
    return _BY_REFERENCE if blueprint.spec.parameters[name].type == "secret" else f"add `{name}:` to the values"
