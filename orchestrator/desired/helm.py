"""Helm charts: what is handed to the real program, and documents with places from what it renders.

A chart's templates can do anything with a value, so nothing can stand for one that is secret or not known yet. Instead
the chart is rendered again with other, made-up values in their place: what differs depends on them, and is secret or
not known yet itself.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.desired.objects import Document, Report
from orchestrator.documents import yaml
from orchestrator.documents.written import JsonPath, Positions
from orchestrator.model.rendering import HelmRequest, Part, Renderer, RenderFailedError
from orchestrator.model.source import Diagnostic, Source
from orchestrator.model.values import MASK, Secret, Unknown, Value, has_secret, leaves, mapped

# What stands for a text that is not known yet: most schemas take an address; else any name; else a URL.
_TEXTS = (("192.0.2.17", "198.51.100.29"), ("known-later-a", "known-later-b"), ("http://a.invalid", "http://b.invalid"))
_OTHERS: Mapping[str, tuple[Any, Any]] = {"integer": (30011, 30022), "number": (3.5, 4.5)}
_HOOK = "helm.sh/hook"
_TESTS = frozenset({"test", "test-success", "test-failure"})
_INSTALL = frozenset({"pre-install", "post-install", "crd-install"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A chart that is to be rendered: `request` lacks its values; `label` is where it lies, as people see it."""

    request: HelmRequest
    values: Mapping[str, Value]
    label: str
    source: Source


@dataclass(slots=True)
class _Read:
    """A document of a rendering."""

    data: Any
    at: Positions
    part: Part
    first: int  # the line of the template that the object begins in


def documents(asked: Asked, render: Renderer, report: Report) -> list[Document]:
    """The chart's objects; a hook that is for helm's own runs is left out, with a warning."""
    try:
        found = _marked(asked, render)
    except RenderFailedError as failed:
        report(_failed(asked, failed))
        return []
    except _WrongError as wrong:
        report(wrong.diagnostic)
        return []
    kept = []
    for each in found:
        hooks = _hooks(each.data)
        if hooks and not hooks & _INSTALL:
            if not hooks <= _TESTS:
                what = f"hook {_name(each.data)} ({', '.join(sorted(hooks))}) is left out: it is for helm's own runs"
                report(Diagnostic(_places(asked, each)(()), what, severity="warning"))
            continue
        data = _lasting(each.data) if hooks else each.data
        kept.append(Document(data, _places(asked, each)))
    return kept


def _marked(asked: Asked, render: Renderer) -> list[_Read]:
    """The rendering, with what depends on secrets and on what is not known yet marked as such."""
    all_leaves = list(leaves(dict(asked.values)))
    unknown = [leaf for leaf in all_leaves if isinstance(leaf, Unknown)]
    secret = has_secret(dict(asked.values))
    for index, texts in enumerate(_TEXTS):
        try:
            base = _rendered(asked, render, _filled(asked.values, texts, 0), secret, probing=bool(unknown))
            break
        except RenderFailedError:
            if not unknown or index == len(_TEXTS) - 1:
                raise
    if unknown:
        needs = frozenset[str]().union(*(leaf.needs for leaf in unknown))
        other = _rendered(asked, render, _filled(asked.values, texts, 1), secret, probing=True)
        hidden = any(leaf.secret for leaf in unknown)
        _mark(asked, base, other, "not known yet", lambda leaf: Unknown("any", needs, hidden))
    known = [leaf for leaf in all_leaves if isinstance(leaf, Secret)]
    if known:
        label = ", ".join(sorted({leaf.label for leaf in known}))
        other = _rendered(asked, render, _filled(asked.values, texts, 0, masked=True), True, probing=True)
        _mark(asked, base, other, "secret", lambda leaf: _secret(leaf, label))
    return base


def _secret(leaf: Any, label: str) -> Value:
    return Unknown(leaf.type, leaf.needs, secret=True) if isinstance(leaf, Unknown) else Secret(leaf, label)


def _filled(values: Mapping[str, Value], texts: tuple[str, str], which: int, *, masked: bool = False) -> Any:
    """Plain values: made-up ones for what is not known, and with `masked` for what is secret."""

    def plain(leaf: Value) -> Any:
        if isinstance(leaf, Unknown):
            return _made_up(leaf.type, texts, which)
        if isinstance(leaf, Secret):
            return _other(leaf.reveal()) if masked else leaf.reveal()
        return leaf

    return mapped(dict(values), plain)


def _made_up(kind: str, texts: tuple[str, str], which: int) -> Any:
    if kind == "boolean":
        return which == 0
    if kind == "list":
        return [texts[which]]
    if kind == "map":
        return {"key": texts[which]}
    return _OTHERS.get(kind, texts)[which]


def _other(value: Any) -> Any:
    """Another value of the same form: letters for letters, digits for digits; nothing of the secret but its form."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    made = str(value)
    for lower, upper, digit in (("q", "Q", "7"), ("w", "W", "8")):
        made = re.sub("[0-9]", digit, re.sub("[A-Z]", upper, re.sub("[a-z]", lower, str(value))))
        if made != value:
            break
    return made if made != value else f"{made}q"


def _rendered(asked: Asked, render: Renderer, values: Any, sensitive: bool, *, probing: bool) -> list[_Read]:
    request = replace(asked.request, values=values, sensitive=sensitive, probing=probing)
    found = []
    for part in render.helm(request):
        seen: dict[str, int] = {}
        reading = yaml.read(part.text, f"{asked.label}/{part.file}", manifest=True)
        for wrong in reading.diagnostics:
            line = _template_line(part, part.text.split("\n")[max(wrong.source.line - 1, 0)], 1)
            raise _WrongError(Diagnostic(Source(wrong.source.file, line), wrong.message, "as it is rendered"))
        for one in reading.documents:
            kind = f"kind: {one.data.get('kind')}" if isinstance(one.data, dict) else ""
            first = _template_line(part, kind, seen.get(kind, 0) + 1)
            seen[kind] = first
            found.append(_Read(one.data, one.at, part, first))
    return found


class _WrongError(Exception):
    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(str(diagnostic))
        self.diagnostic = diagnostic


def _mark(
    asked: Asked, base: Sequence[_Read], other: Sequence[_Read], what: str, change: Callable[[Any], Value]
) -> None:
    """Change those leaves of `base` that `other` has otherwise."""
    if len(base) != len(other):
        raise _WrongError(_decides(asked.source, "objects", what))
    for one, beside in zip(base, other, strict=True):
        try:
            one.data = _merged(one.data, beside.data, change, ())
        except _Shape as shape:
            raise _WrongError(_decides(_places(asked, one)(shape.path), "fields", what)) from None


def _decides(source: Source, things: str, what: str) -> Diagnostic:
    hint = "give that decision a plain value of its own"
    return Diagnostic(source, f"which {things} the chart renders here depends on a value that is {what}", hint)


class _Shape(Exception):  # noqa: N818 - becomes a diagnostic
    def __init__(self, path: JsonPath) -> None:
        self.path = path


def _merged(one: Any, other: Any, change: Callable[[Any], Value], path: JsonPath) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            raise _Shape(path)
        return {key: _merged(inner, other[key], change, (*path, key)) for key, inner in one.items()}
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            raise _Shape(path)
        return [_merged(inner, other[i], change, (*path, i)) for i, inner in enumerate(one)]
    if isinstance(one, Unknown | Secret):
        return one if not isinstance(other, dict | list) else change(one)
    if isinstance(one, dict | list) or isinstance(other, dict | list):
        raise _Shape(path)
    return one if one == other and type(one) is type(other) else change(one)


def _hooks(data: Any) -> set[str]:
    meta = data.get("metadata") if isinstance(data, dict) else None
    notes = meta.get("annotations") if isinstance(meta, dict) else None
    hooks = notes.get(_HOOK) if isinstance(notes, dict) else None
    return {each.strip() for each in hooks.split(",")} if isinstance(hooks, str) else set()


def _lasting(data: Any) -> Any:
    """A hook's Job stays: that it is there, finished and as declared, says that it has run."""
    spec = data.get("spec")
    if data.get("kind") != "Job" or not isinstance(spec, dict) or "ttlSecondsAfterFinished" not in spec:
        return data
    return {**data, "spec": {key: value for key, value in spec.items() if key != "ttlSecondsAfterFinished"}}


def hook_stage(data: Mapping[str, Any]) -> tuple[int, int]:
    """When an object comes: (-1, weight) before the others, (0, 0) with them, (1, weight) after them."""
    hooks = _hooks(data)
    if not hooks & _INSTALL:
        return 0, 0
    weight = data["metadata"]["annotations"].get("helm.sh/hook-weight", "0")
    try:
        number = int(str(weight))
    except ValueError:
        number = 0
    return (1 if "post-install" in hooks else -1), number


def _name(data: Any) -> str:
    return f"{data.get('kind')}/{(data.get('metadata') or {}).get('name')}"


def _places(asked: Asked, read: _Read) -> Callable[[JsonPath], Source]:
    """Where a field comes from: the line of its template that looks like it, from where the object begins."""
    file = f"{asked.label}/{read.part.file}"

    def source(path: JsonPath) -> Source:
        keys = [key for key in path if isinstance(key, str)]
        line = read.first
        for key in keys:
            line = _template_line(read.part, f"{key}:", line, default=line)
        return Source(file, line)

    return source


def _template_line(part: Part, text: str, start: int, default: int = 1) -> int:
    """The first line from `start` of a part's template that begins like `text`."""
    wanted = text.strip().removeprefix("- ")
    for number, line in enumerate(part.template.split("\n")[start - 1 :], start):
        if wanted and line.strip().removeprefix("- ").startswith(wanted):
            return number
    key = wanted.partition(":")[0]
    if ":" in wanted and key + ":" != wanted:
        return _template_line(part, f"{key}:", start, default)
    return default


def _failed(asked: Asked, failed: RenderFailedError) -> Diagnostic:
    source = Source(f"{asked.label}/{failed.file}", failed.line) if failed.file else asked.source
    return Diagnostic(source, _scrubbed(asked, failed.message), _scrubbed(asked, failed.hint))


def _scrubbed(asked: Asked, text: str) -> str:
    """What the program says, without the secrets that it was given."""
    for leaf in leaves(dict(asked.values)):
        if isinstance(leaf, Secret) and (plain := str(leaf.reveal())):
            encoded = base64.b64encode(plain.encode()).decode()
            for form in (plain, json.dumps(plain)[1:-1], encoded):
                text = text.replace(form, MASK)
    return text
