"""Fields of a blueprint that may hold expressions: compiled once, computed for every placement and site."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from orchestrator.desired.language import Compiled, Failed, Language, compute
from orchestrator.desired.names import Reference, Wrong
from orchestrator.desired.types import ANY, fits, printed, type_of, words
from orchestrator.documents.expressions import closing
from orchestrator.documents.written import JsonPath, Positions
from orchestrator.model.source import Diagnostic, Source
from orchestrator.model.values import Secret, Unknown, Value

Lookup: TypeAlias = Callable[[Reference], Value]
Report: TypeAlias = Callable[[Diagnostic], None]
Node: TypeAlias = "Expression | Text | Mapping[str, Any] | list[Any] | Secret | str | int | float | bool | None"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text stands in a document."""

    at: Positions
    path: JsonPath
    text: str

    def source(self, offset: int) -> Source:
        """The place of the character at `offset`."""
        return self.at.inside(self.path, self.text, offset)


@dataclass(frozen=True, slots=True)
class Expression:
    """One `${…}`, whose inner text begins at `start` of the text at `place`."""

    compiled: Compiled
    place: Place
    start: int

    def diagnostic(self, message: str, hint: str = "", at: int = 0) -> Diagnostic:
        """Something is wrong with it, at an offset of its inner text."""
        return Diagnostic(self.place.source(self.start + at), message, hint)


@dataclass(frozen=True, slots=True)
class Text:
    """A text with expressions among its parts."""

    parts: tuple[str | Expression, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A value of a document, of the type that is expected where it stands."""

    node: Node
    expected: str
    source: Source
    label: str  # as `count` or `output port`, for messages
    literal: bool = True  # no expression in it

    def value(self, lookup: Lookup, report: Report) -> Value:
        """The value at one place; what cannot be computed is reported, and unknown."""
        if self.literal:
            return self.node  # type: ignore[return-value]
        value = _value(self.node, lookup, report)
        if self.expected == "secret" and isinstance(value, str):
            return Secret(value, self.label)
        if not fits(self.expected, type_of(value)):
            report(self.misfit(type_of(value)))
            return Unknown(self.expected)
        return value

    def misfit(self, given: str) -> Diagnostic:
        """It has another type than is expected."""
        return Diagnostic(self.source, f"{self.label} must be {words(self.expected)}, not {words(given)}")

    def expressions(self) -> Iterator[Expression]:
        """All expressions in it."""
        yield from () if self.literal else _expressions(self.node)


def _expressions(node: Any) -> Iterator[Expression]:
    match node:
        case Expression():
            yield node
        case Text():
            yield from (part for part in node.parts if isinstance(part, Expression))
        case Mapping():
            for inner in node.values():
                yield from _expressions(inner)
        case list():
            for inner in node:
                yield from _expressions(inner)


def _value(node: Any, lookup: Lookup, report: Report) -> Value:
    match node:
        case Expression():
            return _computed(node, lookup, report)
        case Text():
            return _joined(node, lookup, report)
        case Mapping():
            return {key: _value(inner, lookup, report) for key, inner in node.items()}
        case list():
            return [_value(inner, lookup, report) for inner in node]
    return node  # type: ignore[no-any-return]


def _computed(expression: Expression, lookup: Lookup, report: Report) -> Value:
    try:
        return compute(expression.compiled, lookup)
    except Failed as failed:
        report(expression.diagnostic(failed.message, failed.hint, failed.at))
        return Unknown(expression.compiled.type)


def _joined(text: Text, lookup: Lookup, report: Report) -> Value:
    """A text with its expressions' values printed into it."""
    parts: list[str] = []
    unknown: list[Unknown] = []
    labels: list[str] = []
    secret = False
    for part in text.parts:
        value: Value = part if isinstance(part, str) else _computed(part, lookup, report)
        if isinstance(value, Unknown):
            unknown.append(value)
            secret = secret or value.secret
            continue
        if isinstance(value, Secret):
            secret = True
            labels.append(value.label)
            value = value.reveal()
        shown = printed(value)
        if shown is None and isinstance(part, Expression):
            report(_unprintable(part, type_of(value)))
        parts.append(shown or "")
    if unknown:
        return Unknown("string", frozenset().union(*(each.needs for each in unknown)), secret)
    joined = "".join(parts)
    return Secret(joined, ", ".join(labels)) if secret else joined


def _unprintable(expression: Expression, kind: str) -> Diagnostic:
    hint = 'join(", ") makes a string of a list of strings' if kind == "list" else ""
    return expression.diagnostic(f"{words(kind)} cannot be part of a text", hint)


@dataclass(slots=True)
class Compiler:
    """Makes fields of one blueprint's document; what is wrong is collected."""

    language: Language
    at: Positions
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def field(self, path: JsonPath, value: Any, expected: str, roots: frozenset[str], label: str = "") -> Field:
        """The value at `path`, whose expressions may begin with `roots`."""
        node, literal = self._node(path, value, roots)
        made = Field(node, expected, self.at.of(*path), label or f"`{path[-1]}`", literal)
        kind = self._kind(node)
        if not fits(expected, kind):
            self.diagnostics.append(made.misfit(kind))
        return Field(Secret(node, made.label), expected, made.source, made.label) if self._is_plain(made) else made

    def _is_plain(self, made: Field) -> bool:
        return made.literal and made.expected == "secret" and isinstance(made.node, str)

    def _kind(self, node: Any) -> str:
        match node:
            case Expression():
                return node.compiled.type
            case Text():
                return "string"
            case None:
                return ANY
        return type_of(node)

    def _node(self, path: JsonPath, value: Any, roots: frozenset[str]) -> tuple[Any, bool]:
        """The compiled value, and whether no expression is in it."""
        if isinstance(value, str):
            node = self._text(path, value, roots) if "${" in value else value
            return node, node is None or isinstance(node, str)
        if isinstance(value, Mapping):
            pairs = {key: self._node((*path, key), inner, roots) for key, inner in value.items()}
            for key in pairs:
                if "${" in key:
                    source = self.at.of_key(*path, key)
                    self.diagnostics.append(Diagnostic(source, "an expression as a key", "keys are plain texts"))
            return {key: node for key, (node, _) in pairs.items()}, all(literal for _, literal in pairs.values())
        if isinstance(value, list | tuple):
            nodes = [self._node((*path, index), inner, roots) for index, inner in enumerate(value)]
            return [node for node, _ in nodes], all(literal for _, literal in nodes)
        return value, True

    def _text(self, path: JsonPath, text: str, roots: frozenset[str]) -> str | Expression | Text | None:
        """A text: one expression, one with expressions in it, or (with `$${` only) a plain one; None if wrong."""
        place = Place(self.at, path, text)
        parts: list[str | Expression] = []
        plain, at = "", 0
        while (found := text.find("${", at)) >= 0:
            if text[found - 1 : found] == "$" and found > at:
                plain, at = plain + text[at : found - 1] + "${", found + 2
                continue
            end = closing(text, found + 2)
            if end is None:
                break  # documents/ has told
            if plain or found > at:
                parts.append(plain + text[at:found])
            plain, at = "", end + 1
            expression = self._expression(place, found + 2, text[found + 2 : end], roots)
            if expression is None:
                return None
            parts.append(expression)
        if plain or at < len(text):
            parts.append(plain + text[at:])
        if len(parts) == 1:
            return parts[0]
        for part in parts:
            kind = part.compiled.type if isinstance(part, Expression) else "string"
            if (
                isinstance(part, Expression)
                and not fits("string", kind)
                and kind not in ("integer", "number", "boolean")
            ):
                self.diagnostics.append(_unprintable(part, kind))
        return Text(tuple(parts)) if any(isinstance(part, Expression) for part in parts) else "".join(map(str, parts))

    def _expression(self, place: Place, start: int, inner: str, roots: frozenset[str]) -> Expression | None:
        """The expression; None where it is wrong, which is collected."""
        compiled = self.language.compile(inner, roots)
        if isinstance(compiled, Compiled):
            if compiled.type in ("bytes", "timestamp", "duration", "type"):
                what = f"the expression gives a {compiled.type}, which no document can hold"
                self.diagnostics.append(Diagnostic(place.source(start), what, "string(…) makes a string of it"))
            return Expression(compiled, place, start)
        self.diagnostics += [wrong_at(place, start, wrong) for wrong in compiled]
        return None


def wrong_at(place: Place, start: int, wrong: Wrong) -> Diagnostic:
    """What is wrong in an expression whose inner text begins at `start`."""
    return Diagnostic(place.source(start + wrong.at), wrong.message, wrong.hint)
