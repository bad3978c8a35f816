"""Kubernetes objects from documents of a source: each with its place, checked before any cluster is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from orchestrator.desired.scopes import is_cluster_scoped
from orchestrator.documents.scalar_types import LABEL_KEY, LABEL_VALUE
from orchestrator.documents.written import JsonPath
from orchestrator.model.source import Diagnostic, Source
from orchestrator.model.values import Secret, Unknown, Value, masked

MAX_OBJECT = 1_500_000  # bytes; etcd takes no more

# As Kubernetes' own checks: DNS subdomains for most, any path segment for some (RBAC, API services).
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_SEGMENT = re.compile(r"(?!\.{1,2}$)[^/%]{1,253}")
_LONGEST = {"Service": 63, "Namespace": 63, "CronJob": 52}  # a CronJob's Jobs have 11 characters more
_LOOSE_GROUPS = ("rbac.authorization.k8s.io",)
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
_API_VERSION = re.compile(r"([a-z0-9][-a-z0-9.]{0,252}/)?v[a-z0-9]{1,30}")
_LABEL_KEY, _LABEL_VALUE = re.compile(LABEL_KEY), re.compile(LABEL_VALUE)

_RIGHT = {
    _NAME: "it has at most 253 lower-case letters, digits, `-` and `.`, and begins and ends with a letter or digit",
    _NAMESPACE: "it has at most 63 lower-case letters, digits and `-`, and begins and ends with a letter or digit",
    _KIND: "as Deployment",
    _API_VERSION: "as v1 or apps/v1",
}

Object: TypeAlias = Mapping[str, Value]
Report: TypeAlias = Callable[[Diagnostic], None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object that should be: what it is, its data with the namespace filled in, and where it is written."""

    kind: str  # with its group: `Deployment.apps`, `Service`
    name: str  # `namespace/name`, or `name`
    data: Object
    where: Source
    at: Callable[[JsonPath], Source] = field(compare=False, repr=False)  # where a field of it comes from

    @property
    def identity(self) -> str:
        """What it is on its cluster."""
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document of a file, secrets and unknowns in their places; `source` tells a path's place."""

    data: Any
    source: Callable[[JsonPath], Source]


def is_namespace(name: str) -> bool:
    """Whether a text can be a namespace's name."""
    return bool(_NAMESPACE.fullmatch(name))


def objects_of(
    documents: Sequence[Document], namespace: str, report: Report, cluster_kinds: set[str] | None = None
) -> list[Manifest]:
    """The objects of a source's documents; what is wrong with one is reported, and it is left out.

    `cluster_kinds` are custom kinds (with group) known to have no namespace; those found here are added.
    """
    found = [each for document in documents for each in _items(document, report)]
    kinds = set() if cluster_kinds is None else cluster_kinds
    kinds.update(_cluster_kinds(found))
    made = [_manifest(each, namespace, kinds, report) for each in found]
    return [each for each in made if each is not None]


def _items(document: Document, report: Report) -> Iterator[Document]:
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

            yield from _items(Document(each, source), report)
        return
    if kind == "List":
        report(
            Diagnostic(document.source(("items",)), "a List has its objects in `items`", "write them, or `items: []`")
        )
        return
    yield document


def _cluster_kinds(documents: Sequence[Document]) -> Iterator[str]:
    """The kinds (with group) that CustomResourceDefinitions among the objects make cluster-scoped."""
    for document in documents:
        spec = document.data.get("spec")
        if document.data.get("kind") == "CustomResourceDefinition" and isinstance(spec, dict):
            names = spec.get("names")
            if spec.get("scope") == "Cluster" and isinstance(names, dict):
                yield f"{names.get('kind')}.{spec.get('group')}"


def _manifest(document: Document, namespace: str, cluster_kinds: Collection[str], report: Report) -> Manifest | None:
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
        return Manifest(kind, meta["name"], data, document.source(()), document.source)
    within = meta.get("namespace") or namespace
    if meta.get("namespace") is None:
        data = {**data, "metadata": {**meta, "namespace": within}}
    return Manifest(kind, f"{within}/{meta['name']}", data, document.source(()), document.source)


def _problems(document: Document) -> Iterator[Diagnostic]:
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
    longest = _LONGEST.get(str(data.get("kind")), 0)
    if longest and isinstance(meta.get("name"), str) and len(meta["name"]) > longest:
        what = f"the name of a {data['kind']} has at most {longest} characters, this one has {len(meta['name'])}"
        yield Diagnostic(document.source(("metadata", "name")), what, "shorten it")
    if meta.get("namespace") is not None:
        path = ("metadata", "namespace")
        yield from _identifying(document, path, meta["namespace"], _NAMESPACE, "metadata.namespace")
    yield from _labels(document, meta)
    yield from _size(document)


def _identifying(
    document: Document, path: tuple[str, ...], value: Any, pattern: re.Pattern[str], label: str
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
        yield Diagnostic(source, f"`{value[:80]}` cannot be the {label} of an object", _RIGHT.get(pattern, ""))


def _labels(document: Document, meta: Mapping[str, Any]) -> Iterator[Diagnostic]:
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


def _size(document: Document) -> Iterator[Diagnostic]:
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
