"""CEL for one blueprint: its names and their types, compiling with all checks, computing.

`stable["orders-db"].outputs.host` is one typed variable to the library: names are checked on the syntax tree, then
brackets around names become dots (of the same length, so that columns stay), then the library checks the types.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.desired import messages, tree
from orchestrator.desired.names import Names, Reference, Wrong
from orchestrator.desired.types import ANY, type_of
from orchestrator.model.values import Secret, Unknown, Value, has_secret, leaves, mapped

MACHINE_TYPE = "orchestrator.cel.Machine"


@dataclass(frozen=True, slots=True)
class Compiled:
    """An expression that has passed all checks; `type` is what it gives, `whole` if it is only one reference."""

    text: str
    references: tuple[Reference, ...]
    type: str
    whole: bool
    rewritten: str = field(repr=False, default="")
    program: Any = field(repr=False, compare=False, default=None)


class Failed(Exception):  # noqa: N818 - becomes a diagnostic at the expression's place
    """An expression cannot be computed: at which offset, why, and what would be right."""

    def __init__(self, message: str, hint: str = "", at: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.at = at


@dataclass(slots=True)
class Language:
    """Compiles the expressions of one blueprint. `Names` says what there is."""

    names: Names
    _environments: dict[tuple[tuple[str, str], ...] | None, Any] = field(default_factory=dict)

    def compile(self, text: str, roots: frozenset[str]) -> Compiled | list[Wrong]:
        """The expression, or all that is wrong with it; only names that begin with one of `roots` may be used."""
        try:
            parsed = tree.read(_untyped().compile(text, disable_check=True).serialize(), text)
        except RuntimeError as error:
            return [_first(error, text)]
        references, wrong = self.names.resolve(parsed.chains, roots, text)
        if wrong:
            return wrong
        rewritten = self.names.rewrite(text, parsed.chains)
        checked = self._checked(rewritten, self._environment(None))
        if isinstance(checked, list):
            return checked
        kind = _kind(checked.return_type().name())
        whole = parsed.whole and all(len(r.keys) == r.length for r in references)
        return Compiled(text, references, kind, whole, rewritten, checked)

    def recheck(self, compiled: Compiled, site_values: Mapping[str, Any]) -> list[Wrong]:
        """What is wrong with the types, given one site's values."""
        used = [r for r in compiled.references if r.root == "site" and r.keys[0] == "values"]
        if not used or any(r.tested or not r.detail for r in used):
            return []
        shape = tuple(sorted((name, type_of(value)) for name, value in site_values.items()))
        checked = self._checked(compiled.rewritten, self._environment(shape))
        return checked if isinstance(checked, list) else []

    def _checked(self, text: str, environment: Any) -> Any | list[Wrong]:
        try:
            return environment.compile(text)
        except RuntimeError as error:
            return [_first(error, text)]

    def _environment(self, shape: tuple[tuple[str, str], ...] | None) -> Any:
        """The library's environment; with a site's values typed where their shape is given."""
        found = self._environments.get(shape)
        if found is None:
            from cel_expr_python import cel
            from cel_expr_python.ext import ext_strings

            variables = {name: _cel_type(kind) for name, kind in self.names.variables().items()}
            variables |= {f"site.values.{name}": _cel_type(kind) for name, kind in shape or () if name.isidentifier()}
            pool, _ = _machine()
            found = cel.NewEnv(pool, variables=variables, extensions=[ext_strings.ExtStrings()])
            self._environments[shape] = found
        return found


def compute(compiled: Compiled, lookup: Callable[[Reference], Value]) -> Value:
    """The expression's value: Unknown if any reference is, secret if any is. Raises Failed.

    `lookup` gives a reference's value (or raises Failed); for `machines` without keys: all of them, as maps.
    """
    values = {reference: lookup(reference) for reference in compiled.references}
    if compiled.whole:
        return next(iter(values.values()))
    tainted = any(has_secret(value) for value in values.values())
    unknown = [leaf for value in values.values() for leaf in leaves(value) if isinstance(leaf, Unknown)]
    if unknown:
        needs = frozenset[str]().union(*(leaf.needs for leaf in unknown))
        return Unknown(compiled.type, needs, secret=tainted)
    result = compiled.program.eval(data=dict(_activation(values, lookup)))
    try:
        value = _result(result)
    except Failed as failed:
        if tainted:
            raise Failed("the expression cannot be computed from the secret's value") from None
        objects = [r for r in compiled.references if r.root == "objects"]
        if objects and messages.is_missing(failed.hint):  # what lives may not have this field yet
            return Unknown(compiled.type)
        raise Failed(failed.message) from None
    return _tainted(value, values) if tainted else value


def _activation(values: Mapping[Reference, Value], lookup: Callable[[Reference], Value]) -> Iterator[tuple[str, Any]]:
    """The library's variables."""
    objects: dict[str, Any] = {}
    for reference, value in values.items():
        if reference.root == "machines":
            everyone = lookup(Reference("machines", ()))
            assert isinstance(everyone, list)
            _, message = _machine()
            yield "machines", [message(**mapped(each, _text)) for each in everyone]
        elif reference.root == "objects":
            objects[str(reference.keys[0])] = mapped(value, _plain)
        else:
            plain = mapped(value, _plain)
            yield reference.variable, float(plain) if reference.type == "number" else plain
    if objects:
        yield "objects", objects


def _plain(leaf: Value) -> Any:
    return leaf.reveal() if isinstance(leaf, Secret) else leaf


def _text(leaf: Value) -> str:
    """A machine's field; one that is not known is not used either, or the expression were not computed."""
    return "" if isinstance(leaf, Unknown) else str(_plain(leaf))


def _result(result: Any) -> Value:
    """Plain data from the library's value. Raises Failed, its hint the library's own words."""
    kind = result.type().name()
    if kind == "ERROR":
        text = str(result.value())
        raise Failed(messages.evaluation_error(text), text)
    return _data(result.plain_value())


def _data(value: Any) -> Value:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if not math.isfinite(value):
                raise Failed("the result is not a finite number")
            return value
        case list():
            return [_data(each) for each in value]
        case dict():
            if not all(isinstance(key, str) for key in value):
                raise Failed("a map's keys must be strings here")
            return {key: _data(each) for key, each in value.items()}
    if type(value).__name__ == "Machine":
        return {"name": value.name, "address": value.address}
    raise Failed(f"the result is {type(value).__name__}, which no document can hold; string(…) makes a string of it")


def _tainted(value: Value, sources: Mapping[Reference, Value]) -> Value:
    """The same value, all leaves secret. Raises Failed for a map: its keys could not be masked."""
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value)):
        raise Failed("a map computed from a secret", "write the map in the document, with an expression for each value")
    labels = {leaf.label for source in sources.values() for leaf in leaves(source) if isinstance(leaf, Secret)}
    label = ", ".join(sorted(labels))
    return mapped(value, lambda leaf: Secret(leaf, label))  # type: ignore[no-any-return]


def _first(error: RuntimeError, text: str) -> Wrong:
    """The first error of the compiler; the others mostly follow from it."""
    found = next(messages.compile_errors(str(error), text), None)
    return Wrong(*found) if found else Wrong(0, *messages.unclear_error(str(error)))


_CEL = {"string": "STRING", "secret": "STRING", "integer": "INT", "number": "DOUBLE", "boolean": "BOOL"}
_FROM_CEL = {"STRING": "string", "INT": "integer", "UINT": "integer", "DOUBLE": "number", "BOOL": "boolean"}
_FROM_CEL |= {"NULL": "null", "BYTES": "bytes", "TIMESTAMP": "timestamp", "DURATION": "duration", "TYPE": "type"}


def _cel_type(kind: str) -> Any:
    from cel_expr_python import cel

    match kind:
        case "machines":
            return cel.Type.List(cel.Type(MACHINE_TYPE))
        case "list":
            return cel.Type.List(cel.Type.DYN)
        case "map":
            return cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
        case "labels":
            return cel.Type.Map(cel.Type.STRING, cel.Type.STRING)
    return getattr(cel.Type, _CEL.get(kind, "DYN"))


def _kind(name: str) -> str:
    base = name.partition("<")[0]
    if base in ("LIST", "MAP"):
        return base.lower()
    return "map" if base == MACHINE_TYPE else _FROM_CEL.get(base, ANY)


@functools.cache
def _untyped() -> Any:
    """An environment for parsing only."""
    from cel_expr_python import cel

    return cel.NewEnv(variables={})


@functools.cache
def _machine() -> tuple[Any, Any]:
    """The message type of a machine, so that a wrong field is found before anything is contacted: pool and class."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    package, _, name = MACHINE_TYPE.rpartition(".")
    file = descriptor_pb2.FileDescriptorProto(name=f"{MACHINE_TYPE}.proto", package=package, syntax="proto3")
    message = file.message_type.add(name=name)
    for number, field_name in enumerate(messages.MACHINE, 1):
        added = message.field.add(name=field_name, number=number)
        added.type, added.label = added.TYPE_STRING, added.LABEL_OPTIONAL
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool, message_factory.GetMessageClass(pool.FindMessageTypeByName(MACHINE_TYPE))
