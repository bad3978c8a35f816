"""Kustomizations: what is handed to the real program, and documents with places from what it builds.

Files that end with `.j2` are rendered first; tokens stand for what is secret or not known yet, and are replaced in what
the program builds.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.desired.manifests import Filler
from orchestrator.desired.objects import Document, Report
from orchestrator.desired.placeholders import Slots
from orchestrator.desired.templates import TemplateFailed, Templates
from orchestrator.documents import yaml
from orchestrator.documents.loaded import Folder
from orchestrator.documents.source_paths import KUSTOMIZATIONS
from orchestrator.documents.written import JsonPath
from orchestrator.model.rendering import KustomizeRequest, Renderer, RenderFailedError
from orchestrator.model.source import Diagnostic, Source
from orchestrator.model.values import Secret, Unknown, Value, leaves

_ORIGIN = "config.kubernetes.io/origin"
_BUILD_METADATA = "buildMetadata: [originAnnotations]"
_PATHS = ("resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators")
_SCRYPT = {"n": 2**12, "r": 8, "p": 1, "dklen": 8}


@dataclass(frozen=True, slots=True)
class Asked:
    """A kustomization that is to be built: its folder within the blueprint's, and where that is written."""

    folder: Folder
    path: str
    templates: Templates
    variables: Mapping[str, Value]
    source: Source


def documents(asked: Asked, render: Renderer, report: Report) -> list[Document]:
    """The objects of a kustomization."""
    told: list[Diagnostic] = []
    texts = [content.decode(errors="replace").lower() for content in asked.folder.files.values()]
    slots = Slots.beside(texts, f"placeholderx{_hash(asked.variables)}x")
    files, failed = _files(asked, slots)
    visited = set[str]()
    told += _leaving(asked, files, visited)
    told += [wrong for name, wrong in failed.items() if posixpath.dirname(name) in visited]
    top = _kustomization(asked.path, files)
    if top is None and not told:
        what = f"there is no kustomization in `{asked.path}`"
        told.append(Diagnostic(asked.source, what, f"it is a folder of the blueprint with {KUSTOMIZATIONS[0]}"))
    if told or top is None:
        for wrong in told:
            report(wrong)
        return []
    traced = b"buildMetadata" not in files[top]
    if traced:
        files[top] = files[top].rstrip() + f"\n{_BUILD_METADATA}\n".encode()
    try:
        text = render.kustomize(KustomizeRequest(files, asked.path))
    except RenderFailedError as broken:
        report(Diagnostic(asked.source, slots.masked(broken.message), broken.hint))
        return []
    return list(_read(asked, slots, text, files, traced, report))


def _hash(variables: Mapping[str, Value]) -> str:
    """A part of each token, so that generated names change with the secrets that go in."""
    known = [str(leaf.reveal()) for leaf in leaves(dict(variables)) if isinstance(leaf, Secret)]
    return hashlib.scrypt("\0".join(known).encode(), salt=b"kustomize", **_SCRYPT).hex() if known else ""


def _files(asked: Asked, slots: Slots) -> tuple[dict[str, bytes], dict[str, Diagnostic]]:
    """The blueprint's files as the program sees them: templates rendered, without their ending; and those that failed.

    Templates of other workloads may need other variables: only failures in folders that are used count.
    """
    found: dict[str, bytes] = {}
    failed: dict[str, Diagnostic] = {}
    for name, content in asked.folder.files.items():
        if not name.endswith(".j2"):
            found[name] = content
            continue
        text = ""
        try:
            rendered = asked.templates.render(name, asked.variables)
            text = slots.adopted(rendered.text, rendered.slots)
        except TemplateFailed as wrong:
            source = Source(f"{asked.folder.label}/{wrong.file}", wrong.line)
            failed[name] = Diagnostic(source, wrong.message, wrong.hint)
        found[name.removesuffix(".j2")] = text.encode()
    return found, failed


def _kustomization(folder: str, files: Mapping[str, bytes]) -> str | None:
    """The file that makes a kustomization of a folder."""
    paths = (posixpath.normpath(f"{folder}/{name}") for name in KUSTOMIZATIONS)
    return next((path for path in paths if path in files), None)


def _leaving(asked: Asked, files: Mapping[str, bytes], visited: set[str]) -> Iterator[Diagnostic]:
    """What kustomizations name that is not in the blueprint's folder: remote bases, other folders.

    `visited` takes the folders that are used.
    """
    todo, seen = [posixpath.normpath(asked.path)], set[str]()
    while todo:
        folder = todo.pop()
        file = _kustomization(folder, files)
        if file is None or file in seen:
            continue
        seen.add(file)
        visited.add(folder)
        reading = yaml.read(files[file], f"{asked.folder.label}/{file}")
        yield from reading.diagnostics
        for one in reading.documents:
            for path, entry in _entries(one.data):
                inner = posixpath.normpath(posixpath.join(folder, entry))
                there = inner in files or any(name.startswith(f"{inner}/") for name in files) or inner == "."
                if there:
                    todo.append(inner)
                else:
                    yield Diagnostic(one.at.of(*path), *_why_not(entry, inner))


def _why_not(entry: str, inner: str) -> tuple[str, str]:
    if "://" in entry or entry.startswith(("git@", "github.com/", "git::")) or "?ref=" in entry:
        return f"`{entry[:80]}` is remote", "put a copy of it into the blueprint's folder: what is built stays the same"
    if inner.startswith(("/", "../")) or inner == "..":
        return f"`{entry[:80]}` leaves the blueprint's folder", "put a copy of it into that folder"
    return f"there is no file or folder `{entry[:80]}`", "paths are relative to the kustomization"


def _entries(data: Any) -> Iterator[tuple[JsonPath, str]]:
    """The files and folders that a kustomization names; inline YAML is none."""
    for key in _PATHS:
        listed = data.get(key) if isinstance(data, dict) else None
        for index, entry in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(entry, str) and "\n" not in entry:
                yield (key, index), entry
    for key in ("patches", "replacements"):
        listed = data.get(key) if isinstance(data, dict) else None
        for index, entry in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                yield (key, index, "path"), entry["path"]


def _read(
    asked: Asked, slots: Slots, text: str, files: Mapping[str, bytes], traced: bool, report: Report
) -> Iterator[Document]:
    reading = yaml.read(text, asked.folder.label, manifest=True)
    for wrong in reading.diagnostics:
        report(Diagnostic(asked.source, f"what is built cannot be read: {wrong.message}", wrong.hint))
    lines = text.split("\n")
    for one in () if reading.diagnostics else reading.documents:
        origin = _origin(one.data) if traced else ""
        source = _places(asked, one.data, origin, files)
        filler = Filler(slots, lines, one.at, source, report)
        data = _encoded(one.data, slots)
        data = filler.filled(data, ()) if slots.word in text or data is not one.data else data
        if not filler.failed:
            yield Document(data, source)


def _encoded(data: Any, slots: Slots) -> Any:
    """A generated Secret holds its texts encoded: tokens in them are replaced before the encoding."""
    inner = data.get("data") if isinstance(data, dict) and data.get("kind") == "Secret" else None
    if not isinstance(inner, dict):
        return data
    return {**data, "data": {key: _one_encoded(value, slots) for key, value in inner.items()}}


def _one_encoded(value: Any, slots: Slots) -> Any:
    try:
        plain = base64.b64decode(str(value), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return value
    if slots.word not in plain:
        return value
    filled = slots.filled(plain, alone=False)
    if isinstance(filled, Secret):
        return Secret(base64.b64encode(str(filled.reveal()).encode()).decode(), filled.label)
    return filled if isinstance(filled, Unknown) else base64.b64encode(str(filled).encode()).decode()


def _origin(data: Any) -> str:
    """Takes the note of where an object comes from out of it."""
    notes = data.get("metadata", {}).get("annotations") if isinstance(data, dict) else None
    if not isinstance(notes, dict) or _ORIGIN not in notes:
        return ""
    note = str(notes.pop(_ORIGIN))
    if not notes:
        del data["metadata"]["annotations"]
    for line in note.split("\n"):
        key, _, value = line.partition(": ")
        if key in ("path", "configuredIn"):
            return value.strip()
    return ""


def _places(asked: Asked, data: Any, origin: str, files: Mapping[str, bytes]) -> Callable[[JsonPath], Source]:
    """Where fields are written: in the file that the object comes from; those that patches add, at the object."""
    file = posixpath.normpath(posixpath.join(asked.path, origin)) if origin else ""
    if file not in files:
        return lambda path: asked.source
    shown = f"{asked.folder.label}/{file if file in asked.folder.files else f'{file}.j2'}"
    meta = data.get("metadata") if isinstance(data, dict) else None
    name = str(meta.get("name")) if isinstance(meta, dict) else ""
    for one in yaml.read(files[file], shown, manifest=True).documents:
        own = one.data.get("metadata") if isinstance(one.data, dict) else None
        if isinstance(own, dict) and one.data.get("kind") == data.get("kind") and str(own.get("name")) in name:
            return lambda path, at=one.at: at.of(*path)  # type: ignore[misc]
    return lambda path: Source(shown, 1)
