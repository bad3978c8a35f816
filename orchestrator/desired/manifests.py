"""Kubernetes manifests: from a workload's files, plain or templates, to objects with their place."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from orchestrator.desired.placeholders import Slots
from orchestrator.desired.scopes import is_cluster_scoped
from orchestrator.desired.templates import Rendered, TemplateFailed, Templates
from orchestrator.documents import yaml
from orchestrator.documents.folders import MANIFESTS, inside
from orchestrator.documents.loaded import Folder, JsonPath
from orchestrator.documents.models import LABEL_KEY, LABEL_VALUE
from orchestrator.model.source import Diagnostic, Source
from orchestrator.model.values import Secret, Unknown, Value, masked

MAX_OBJECT = 1_500_000  # bytes; etcd takes no more

# As Kubernetes' own checks: DNS subdomains for most, any path segment for some (RBAC, API services).
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_SEGMENT = re.compile(r"(?!\.{1,2}$)[^/%]{1,253}")
_LOOSE_GROUPS = ("rbac.authorization.k8s.io",)
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
_API_VERSION = re.compile(r"([a-z0-9][-a-z0-9.]{0,252}/)?v[a-z0-9]{1,30}")
_LABEL_KEY, _LABEL_VALUE = re.compile(LABEL_KEY), re.compile(LABEL_VALUE)

Object: TypeAlias = Mapping[str, Value]
Report: TypeAlias = Callable[[Diagnostic], None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object that should be: what it is, its data with the namespace filled in, and where it is written."""

    kind: str  # with its group: `Deployment.apps`, `Service`
    name: str  # `namespace/name`, or `name`
    data: Object
    where: Source

    @property
    def identity(self) -> str:
        """What it is on its cluster."""
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class _Document:
    """One YAML document of a file, secrets and unknowns in their places; `source` tells a path's place."""

    data: Any
    source: Callable[[JsonPath], Source]


def is_namespace(name: str) -> bool:
    """Whether a text can be a namespace's name."""
    return bool(_NAMESPACE.fullmatch(name))


def files_of(folder: Folder, names: Sequence[str]) -> list[str]:
    """The manifest files that a workload names; of a folder all below it, in order, except `_parts.yaml.j2`."""
    found: dict[str, None] = {}
    for name in names:
        inner = inside(name)
        if inner is None:
            continue  # documents/ has told
        if inner in folder.files:
            found[inner] = None
            continue
        below = sorted(file for file in folder.files if not inner or file.startswith(f"{inner}/"))
        for file in below:
            if file.endswith(MANIFESTS) and not file.rpartition("/")[2].startswith(("_", ".")):
                found[file] = None
    return list(found)


def objects(
    folder: Folder,
    files: Sequence[str],
    templates: Templates,
    variables: Mapping[str, Value],
    namespace: str,
    report: Report,
) -> list[Manifest]:
    """The objects of a workload's files at one site; what is wrong with one is reported, and it is left out."""
    documents: list[_Document] = []
    for file in files:
        if file.endswith(".j2"):
            documents += _rendered(folder, file, templates, variables, report)
        else:
            documents += _plain(folder, file, report)
    found = [each for document in documents for each in _items(document, report)]
    cluster_kinds = frozenset(_cluster_kinds(found))
    made = [_manifest(each, namespace, cluster_kinds, report) for each in found]
    return [each for each in made if each is not None]


def _plain(folder: Folder, file: str, report: Report) -> list[_Document]:
    documents, diagnostics = parsed(folder, file)
    for diagnostic in diagnostics:
        report(diagnostic)
    return [] if diagnostics else list(documents)


def parsed(folder: Folder, file: str) -> tuple[tuple[_Document, ...], tuple[Diagnostic, ...]]:
    """A file without templates: its documents, and what is wrong with it."""
    return _parsed(folder.files[file], f"{folder.label}/{file}", file.endswith(".json"))


@functools.lru_cache(maxsize=2048)
def _parsed(content: bytes, label: str, is_json: bool) -> tuple[tuple[_Document, ...], tuple[Diagnostic, ...]]:
    """A file without templates; kept, as it is the same for all sites. Nobody changes what it gives."""
    if is_json:
        return _json(content, label)
    reading = yaml.read(content, label, manifest=True)
    made = tuple(_Document(each.data, functools.partial(_place, each.at)) for each in reading.documents)
    return made, reading.diagnostics


def _place(at: Any, path: JsonPath) -> Source:
    source: Source = at.of(*path)
    return source


def _json(content: bytes, label: str) -> tuple[tuple[_Document, ...], tuple[Diagnostic, ...]]:
    """JSON may be indented with tabs, which YAML refuses."""
    reading = yaml.read(content, label, manifest=True)
    if not reading.diagnostics:
        return tuple(_Document(each.data, functools.partial(_place, each.at)) for each in reading.documents), ()
    try:
        return (_Document(json.loads(content), lambda path: Source(label, 1)),), ()
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        return (), (Diagnostic(Source(label, line, getattr(error, "colno", 1)), f"not valid JSON: {error}"),)


def _rendered(
    folder: Folder, file: str, templates: Templates, variables: Mapping[str, Value], report: Report
) -> list[_Document]:
    """The documents of a template."""
    try:
        rendered = templates.render(file, variables)
    except TemplateFailed as failed:
        report(Diagnostic(Source(f"{folder.label}/{failed.file}", failed.line), failed.message, failed.hint))
        return []
    label = f"{folder.label}/{file}"
    reading = _read(rendered.text, label)
    for each in reading.diagnostics:
        report(_at_template(each, rendered))
    if reading.diagnostics:
        return []
    documents = []
    lines = rendered.text.split("\n")
    has_tokens = rendered.slots.word in rendered.text
    for one in reading.documents:

        def source(path: JsonPath, at: Any = one.at) -> Source:
            return Source(label, rendered.line(at.of(*path).line))

        filler = _Filler(rendered.slots, lines, one.at, source, report)
        data = filler.filled(one.data, ()) if has_tokens else one.data
        if not filler.failed:
            documents.append(_Document(data, source))
    return documents


@functools.lru_cache(maxsize=2048)
def _read(text: str, label: str) -> yaml.Reading:
    """Rendered text, which has tokens and no secrets in it; kept, as sites and further looks often have the same."""
    return yaml.read(text, label, manifest=True)


def _at_template(diagnostic: Diagnostic, rendered: Rendered) -> Diagnostic:
    """A diagnostic of rendered text, at the template's line."""
    number = diagnostic.source.line
    lines = rendered.text.split("\n")
    shown = rendered.slots.masked(lines[number - 1].strip())[:80] if 0 < number <= len(lines) else ""
    hint = f"the line is rendered as `{shown}`" if shown else diagnostic.hint
    return Diagnostic(Source(diagnostic.source.file, rendered.line(number)), diagnostic.message, hint)


class _Filler:
    """Puts values in the places of tokens."""

    def __init__(
        self, slots: Slots, lines: Sequence[str], at: Any, source: Callable[[JsonPath], Source], report: Report
    ) -> None:
        self.slots = slots
        self.lines = lines
        self.at = at
        self.source = source
        self.report = report
        self.failed = False

    def filled(self, value: Any, path: JsonPath) -> Any:
        """The value with all tokens replaced."""
        if isinstance(value, dict):
            for key in value:
                if self.slots.word in key.lower():
                    what = "a key holds a value that is secret or not known yet"
                    self.fail(path, what, "give it a plain name")
            return {key: self.filled(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.filled(inner, (*path, index)) for index, inner in enumerate(value)]
        if not isinstance(value, str) or self.slots.word not in value.lower():
            return value
        try:
            return self.slots.filled(value, alone=self.unquoted(path))
        except ValueError as error:
            self.fail(path, str(error), "print it as it is")
            return value

    def unquoted(self, path: JsonPath) -> bool:
        """Whether the text at `path` is written without quotes, so that it takes its value's type."""
        line, column = self.at.values.get(path, (0, 0))
        return self.lines[line - 1][column - 1 : column] not in ("'", '"', "|", ">") if line else True

    def fail(self, path: JsonPath, message: str, hint: str) -> None:
        """Something is wrong; the document is not used."""
        self.failed = True
        self.report(Diagnostic(self.source(path), message, hint))


def _items(document: _Document, report: Report) -> Iterator[_Document]:
    """The objects of a document: itself, or those of a `List`."""
    data = document.data
    if data is None or data == {}:
        return
    if not isinstance(data, dict):
        report(Diagnostic(document.source(()), "a manifest must be a map", "it has apiVersion, kind and metadata"))
        return
    kind, items = data.get("kind"), data.get("items")
    if isinstance(kind, str) and kind.endswith("List") and isinstance(items, list):
        for index, each in enumerate(items):

            def source(path: JsonPath, index: int = index) -> Source:
                return document.source(("items", index, *path))

            yield from _items(_Document(each, source), report)
        return
    yield document


def _cluster_kinds(documents: Sequence[_Document]) -> Iterator[str]:
    """The kinds (with group) that CustomResourceDefinitions among the objects make cluster-scoped."""
    for document in documents:
        spec = document.data.get("spec")
        if document.data.get("kind") == "CustomResourceDefinition" and isinstance(spec, dict):
            names = spec.get("names")
            if spec.get("scope") == "Cluster" and isinstance(names, dict):
                yield f"{names.get('kind')}.{spec.get('group')}"


def _manifest(document: _Document, namespace: str, cluster_kinds: frozenset[str], report: Report) -> Manifest | None:
    """One object; None where something that it must have is wrong, which is reported."""
    problems = list(_problems(document))
    for each in problems:
        report(each)
    if problems:
        return None
    data, meta = document.data, document.data["metadata"]
    group = data["apiVersion"].rpartition("/")[0]
    kind = f"{data['kind']}.{group}" if group else data["kind"]
    if kind in cluster_kinds or is_cluster_scoped(kind):
        if meta.get("namespace") is not None:
            source = document.source(("metadata", "namespace"))
            report(Diagnostic(source, f"a {data['kind']} has no namespace", "leave `namespace` out"))
            return None
        return Manifest(kind, meta["name"], data, document.source(()))
    within = meta.get("namespace") or namespace
    if meta.get("namespace") is None:
        data = {**data, "metadata": {**meta, "namespace": within}}
    return Manifest(kind, f"{within}/{meta['name']}", data, document.source(()))


def _problems(document: _Document) -> Iterator[Diagnostic]:
    """What is wrong with an object before any cluster is asked."""
    data = document.data
    for key, pattern in (("apiVersion", _API_VERSION), ("kind", _KIND)):
        yield from _identifying(document, (key,), data.get(key), pattern, key)
    meta = data.get("metadata")
    if not isinstance(meta, dict):
        yield Diagnostic(document.source(("metadata",)), "`metadata` is missing, or no map", "it has at least a name")
        return
    if "generateName" in meta:
        what = "`generateName` makes another object at each apply; what is applied must be found again by its name"
        yield Diagnostic(document.source(("metadata", "generateName")), what, "write `name`")
        return
    group = str(data.get("apiVersion")).rpartition("/")[0]
    pattern = _SEGMENT if group in _LOOSE_GROUPS else _NAME
    yield from _identifying(document, ("metadata", "name"), meta.get("name"), pattern, "metadata.name")
    if meta.get("namespace") is not None:
        path = ("metadata", "namespace")
        yield from _identifying(document, path, meta["namespace"], _NAMESPACE, "metadata.namespace")
    yield from _labels(document, meta)
    yield from _size(document)


def _identifying(
    document: _Document, path: tuple[str, ...], value: Any, pattern: re.Pattern[str], label: str
) -> Iterator[Diagnostic]:
    """A part of what the object is: plain, and of the right form."""
    source = document.source(path)
    if isinstance(value, Secret | Unknown):
        what = "secret" if isinstance(value, Secret) or value.secret else "not known yet"
        yield Diagnostic(source, f"`{label}` is a value that is {what}", "what an object is must be known and plain")
    elif value is None or value == "":
        yield Diagnostic(source, f"`{label}` is missing in the manifest")
    elif not isinstance(value, str):
        yield Diagnostic(source, f"`{label}` must be a text", "quote it")
    elif not pattern.fullmatch(value):
        yield Diagnostic(source, f"`{value[:80]}` cannot be the {label} of an object")


def _labels(document: _Document, meta: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Labels and annotations: maps of texts."""
    for part in ("labels", "annotations"):
        given = meta.get(part)
        if given is None:
            continue
        if not isinstance(given, dict):
            yield Diagnostic(document.source(("metadata", part)), f"`metadata.{part}` must be a map")
            continue
        for key, value in given.items():
            source = document.source(("metadata", part, key))
            if not _LABEL_KEY.fullmatch(key):
                yield Diagnostic(source, f"`{key[:80]}` cannot be the key of one of the {part}")
            if isinstance(value, Secret | Unknown):
                continue
            if not isinstance(value, str):
                yield Diagnostic(source, f"`{key[:80]}` among the {part} must be a text", "quote it")
            elif part == "labels" and not _LABEL_VALUE.fullmatch(value):
                what = f"`{value[:80]}` cannot be the value of a label"
                yield Diagnostic(source, what, "at most 63 letters, digits, `-`, `_` and `.`")


def _size(document: _Document) -> Iterator[Diagnostic]:
    if _weight(document.data) < MAX_OBJECT // 10:
        return
    size = len(json.dumps(masked(document.data)))
    if size > MAX_OBJECT:
        what = f"the object has {size / 1e6:.1f} MB; a cluster takes {MAX_OBJECT / 1e6:.1f} MB at most"
        yield Diagnostic(document.source(()), what, "split it, or keep the data elsewhere")


def _weight(value: Any) -> int:
    """About the size of its JSON, never less than a tenth of it."""
    if isinstance(value, dict):
        return sum(len(key) + 1 + _weight(inner) for key, inner in value.items())
    if isinstance(value, list):
        return sum(1 + _weight(inner) for inner in value)
    return len(value) if isinstance(value, str) else 3
