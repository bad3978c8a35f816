"""From a parsed document to its model; pydantic's errors become diagnostics in people's words, at their place."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError

from orchestrator.documents.agile_sources import DIGEST, ENV_NAME, MOUNT_PATH, PORT_NAME
from orchestrator.documents.expressions import unclosed
from orchestrator.documents.models import API_VERSION, Blueprint, Estate, Placement, Site
from orchestrator.documents.scalar_types import CONFIG_KEY, DURATION, IDENTIFIER, LABEL_KEY, LABEL_VALUE, NAME, UUID
from orchestrator.documents.written import JsonPath, Positions, Written
from orchestrator.documents.yaml import Parsed
from orchestrator.documents.yaml_errors import QUOTE
from orchestrator.model.source import Diagnostic

AnyDocument: TypeAlias = Written[Estate] | Written[Blueprint] | Written[Site] | Written[Placement]

KINDS: Mapping[str, type[Estate] | type[Blueprint] | type[Site] | type[Placement]] = {
    "Estate": Estate,
    "Blueprint": Blueprint,
    "Site": Site,
    "Placement": Placement,
}

# Keys that are designed, and refused until something enforces them.
_LATER = {"windows", "approval", "heal"} | {"prices", "energy", "limits", "cost", "carbon"}

_PATTERNS = {
    NAME: ("is not a name", "it has lower-case letters, digits and `-`, and begins and ends with a letter or digit"),
    IDENTIFIER: ("cannot be named in an expression", "use letters, digits and `_`, as in dbPassword"),
    CONFIG_KEY: ("cannot be named in an expression", "use letters, digits and `_`, as in dbPassword"),
    DURATION: ("is not a duration", "write it as 500ms, 30s, 5m or 1h"),
    UUID: ("is not a UUID", "`orchestrator init` makes one; it is lower-case, as 7d0c1f4e-2b61-4c7e-9f0e-3f1a5b8c2d90"),
    LABEL_KEY: ("is not a label's key", "it has letters, digits, `-`, `_`, `.`, and a `domain/` before it at most"),
    LABEL_VALUE: ("is not a label's value", "it has at most 63 letters, digits, `-`, `_` and `.`"),
    PORT_NAME: ("is not a port's name", "it has at most 15 lower-case letters, digits and single `-`, and a letter"),
    ENV_NAME: ("is not the name of a variable", "it has letters, digits, `_`, `-` and `.`, and begins with no digit"),
    MOUNT_PATH: ("is not a path in the container", "it begins with `/`, does not end with it, and has no `:`"),
    DIGEST: ("is not a digest", "it is `sha256:` and 64 hexadecimal digits"),
}  # fmt: skip


def to_document(parsed: Parsed) -> tuple[AnyDocument | None, list[Diagnostic]]:
    """The document's model, and what is wrong with it; no model where something is."""
    data, at = parsed.data, parsed.at
    problems = _header(data, at)
    if problems:
        return None, problems
    model = KINDS[data["kind"]]
    try:
        written: Any = Written(model.model_validate(data), at)
    except ValidationError as error:
        problems = problems_of(error, data, at, model)
        written = None
    if data["kind"] == "Blueprint":
        problems += _unclosed(data, at)
    return written, problems


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the closest of `known`; empty where none is close."""
    folded = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name[:100].lower(), folded, 1)
    return f"did you mean `{folded[close[0]]}`?" if close else ""


def one_of(known: Iterable[str], *, none: str = "there is none") -> str:
    """What there is, as a hint; long lists are cut."""
    names = sorted(known)
    if not names:
        return none
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"there {'is' if len(names) == 1 else 'are'} {', '.join(names[:10])}{more}"


def in_words(value: Any) -> str:
    """What a value is, as `a text`; never the value itself, it might be a secret in the wrong place."""
    if isinstance(value, bool):
        return "true" if value else "false"
    kinds = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "a map"}
    return next((words for kind, words in kinds.items() if isinstance(value, kind)), "empty")


def _header(data: Mapping[str, Any], at: Positions) -> list[Diagnostic]:
    version, kind = data.get("apiVersion"), data.get("kind")
    problems = []
    if version is None:
        wrong = next((key for key, value in data.items() if value == API_VERSION), None)
        source = at.of_key(wrong) if wrong else at.of()
        problems.append(Diagnostic(source, "`apiVersion` is missing", f"write `apiVersion: {API_VERSION}`"))
    elif version != API_VERSION:
        source = at.of("apiVersion")
        problems.append(Diagnostic(source, f"the apiVersion `{str(version)[:60]}` is not known", f"use {API_VERSION}"))
    if not isinstance(kind, str) or kind not in KINDS:
        what = "`kind` is missing" if kind is None else f"the kind `{str(kind)[:60]}` is not known"
        hint = did_you_mean(str(kind), KINDS) or one_of(KINDS)
        problems.append(Diagnostic(at.of("kind"), what, hint))
    return problems


def problems_of(error: ValidationError, data: Any, at: Positions, model: type[BaseModel]) -> list[Diagnostic]:
    """One diagnostic per place; what an unknown key explains is not also said to be missing."""
    found: dict[JsonPath, Diagnostic] = {}
    explained: set[JsonPath] = set()
    details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] == "missing")
    for detail in details:
        path, on_key = _path(detail["loc"], data)
        kind = detail["type"]
        if kind == "missing":
            missing = str(detail["loc"][-1])
            if (*path, missing) in explained or (*path, "*") in explained:
                continue
            what = Diagnostic(at.of_key(*path), f"`{missing}` is missing in {_label(path)}", _MISSING.get(missing, ""))
            found.setdefault((*path, missing), what)
        elif kind == "too_short" and any(_is_within(each["loc"], detail["loc"]) for each in details):
            continue  # it is only empty without what is wrong in it
        elif kind == "extra_forbidden":
            found.setdefault(path, _unknown_key(path, _fields(detail, model), at, explained))
        elif path not in found:
            source = at.of_key(*path) if on_key or kind == "exactly_one" else at.of(*path)
            found[path] = Diagnostic(source, *_words(kind, detail, path, on_key))
    return list(found.values())


def _is_within(inner: tuple[str | int, ...], outer: tuple[str | int, ...]) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


_MISSING = {"id": "an id is made by `orchestrator init`, or write any UUID"}


def _path(loc: tuple[str | int, ...], data: Any) -> tuple[JsonPath, bool]:
    """The part of pydantic's location that is in the document (union members are not); whether its key is meant."""
    path: list[str | int] = []
    for part in loc:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            continue
        path.append(part)
    return tuple(path), bool(loc) and loc[-1] == "[key]"


@functools.cache
def _schema(model: type[BaseModel]) -> Any:
    return model.model_json_schema(by_alias=True)


def _fields(detail: Any, model: type[BaseModel]) -> list[str]:
    """The keys that are known where an unknown one stands."""
    schema = _schema(model)
    node: Any = schema
    for part in detail["loc"][:-1]:
        node = _step(schema, node, part)
    return list(_resolved(schema, node).get("properties", {}))


def _resolved(schema: Any, node: Any) -> Any:
    """A schema node without `$ref`, and without the alternatives that have no keys."""
    while True:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        elif choices := node.get("anyOf") or node.get("oneOf"):
            node = next((choice for choice in choices if choice.get("type") not in ("null", "string")), {})
        else:
            return node


def _step(schema: Any, node: Any, part: str | int) -> Any:
    node = _resolved(schema, node)
    if isinstance(part, int):
        return node.get("items", {})
    known = node.get("properties", {})
    if part in known:
        return known[part]
    for extra in (node.get("additionalProperties"), *node.get("patternProperties", {}).values()):
        if isinstance(extra, dict):
            return extra
    return node  # a union member's name leads nowhere


def _unknown_key(path: JsonPath, known: list[str], at: Positions, explained: set[JsonPath]) -> Diagnostic:
    key = str(path[-1])
    source = at.of_key(*path)
    if key in _LATER:
        explained.add((*path[:-1], "*"))
        return Diagnostic(source, f"`{key}` is not supported yet", "leave it out")
    hint = did_you_mean(key, known)
    if hint:
        explained.add((*path[:-1], hint.split("`")[1]))
    where = _label(path[:-1])
    return Diagnostic(source, f"unknown key `{key[:60]}` in {where}", hint or f"it has {', '.join(known)}")


def _label(path: JsonPath) -> str:
    """A place in a document as people call it: `spec.stable.orders-db`, or `the document`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    return f"`{text[:100]}`" if text else "the document"


def _name(path: JsonPath) -> str:
    """The last of a place's names: `values`, or `ready[0]` in a list."""
    if not path:
        return "the document"
    return f"`{path[-2]}[{path[-1]}]`" if isinstance(path[-1], int) and len(path) > 1 else f"`{path[-1]}`"


_WANTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
    "list_type": "a list",
    "tuple_type": "a list",
}


def _words(kind: str, detail: Any, path: JsonPath, on_key: bool) -> tuple[str, str]:
    """What is wrong, and what would be right."""
    value, context = detail["input"], detail.get("ctx", {})
    name = _name(path)
    if kind in _WANTED:
        scalar = isinstance(value, bool | int | float)
        hint = "quote it" if kind == "string_type" and scalar else ""
        return f"{name} must be {_WANTED[kind]}, not {in_words(value)}", hint
    if kind == "string_pattern_mismatch" and context.get("pattern") in _PATTERNS:
        what, hint = _PATTERNS[context["pattern"]]
        return f"`{str(value)[:80]}` {what}", hint
    if kind == "literal_error":
        expected = [word for word in str(context.get("expected", "")).replace(" or ", ", ").split(", ") if word]
        allowed = [word.strip("'") for word in expected]
        what = f"{name} must be one of {', '.join(allowed)}, not {in_words(value)}"
        if isinstance(value, str):
            what = f"`{value[:60]}` is not one of {', '.join(allowed)}"
            return what, did_you_mean(value, allowed)
        return what, ""
    if kind in ("string_too_long", "string_too_short", "too_short"):
        if kind == "string_too_long":
            return f"{name} has {len(value)} characters; {context['max_length']} at most", ""
        return f"{name} must not be empty", ""
    message = str(detail["msg"])
    return f"{name} {message[0].lower()}{message[1:]}", "quote it" if on_key else ""


def _unclosed(data: Any, at: Positions) -> list[Diagnostic]:
    """Expressions that are never closed, wherever expressions may stand."""
    spec = data.get("spec")
    found: list[Diagnostic] = []
    todo: list[tuple[JsonPath, Any]] = []
    if isinstance(spec, dict):
        todo = [(("spec", name), spec[name]) for name in ("outputs", "agile", "stable") if name in spec]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            todo += [((*path, key), inner) for key, inner in reversed(value.items())]
        elif isinstance(value, list):
            todo += [((*path, index), value[index]) for index in reversed(range(len(value)))]
        elif isinstance(value, str) and (offset := unclosed(value)) is not None:
            found.append(Diagnostic(at.inside(path, value, offset), "`${` is never closed", QUOTE))
    return found
