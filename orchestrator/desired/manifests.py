"""Kubernetes manifests: from a workload's files, plain or templates, to documents with their place."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.desired.objects import Document, Report
from orchestrator.desired.placeholders import Slots
from orchestrator.desired.templates import Rendered, TemplateFailed, Templates
from orchestrator.documents import yaml
from orchestrator.documents.folders import MANIFESTS
from orchestrator.documents.loaded import Folder
from orchestrator.documents.source_paths import inside
from orchestrator.documents.written import JsonPath
from orchestrator.model.source import Diagnostic, Source
from orchestrator.model.values import Value


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


def documents(
    folder: Folder, files: Sequence[str], templates: Templates, variables: Mapping[str, Value], report: Report
) -> list[Document]:
    """The documents of a workload's files at one site; a file with something wrong in it is reported and left out."""
    found: list[Document] = []
    for file in files:
        found += (
            _rendered(folder, file, templates, variables, report)
            if file.endswith(".j2")
            else _plain(folder, file, report)
        )
    return found


def _plain(folder: Folder, file: str, report: Report) -> list[Document]:
    found, diagnostics = parsed(folder, file)
    for diagnostic in diagnostics:
        report(diagnostic)
    return [] if diagnostics else list(found)


def parsed(folder: Folder, file: str) -> tuple[tuple[Document, ...], tuple[Diagnostic, ...]]:
    """A file without templates: its documents, and what is wrong with it."""
    return _parsed(folder.files[file], f"{folder.label}/{file}", file.endswith(".json"))


@functools.lru_cache(maxsize=2048)
def _parsed(content: bytes, label: str, is_json: bool) -> tuple[tuple[Document, ...], tuple[Diagnostic, ...]]:
    """A file without templates; kept, as it is the same for all sites. Nobody changes what it gives."""
    if is_json:
        return _json(content, label)
    reading = yaml.read(content, label, manifest=True)
    made = tuple(Document(each.data, functools.partial(_place, each.at)) for each in reading.documents)
    return made, reading.diagnostics


def _place(at: Any, path: JsonPath) -> Source:
    source: Source = at.of(*path)
    return source


def _json(content: bytes, label: str) -> tuple[tuple[Document, ...], tuple[Diagnostic, ...]]:
    """JSON may be indented with tabs, which YAML refuses."""
    reading = yaml.read(content, label, manifest=True)
    if not reading.diagnostics:
        return tuple(Document(each.data, functools.partial(_place, each.at)) for each in reading.documents), ()
    try:
        return (Document(json.loads(content), lambda path: Source(label, 1)),), ()
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        return (), (Diagnostic(Source(label, line, getattr(error, "colno", 1)), f"not valid JSON: {error}"),)


def _rendered(
    folder: Folder, file: str, templates: Templates, variables: Mapping[str, Value], report: Report
) -> list[Document]:
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
    found = []
    lines = rendered.text.split("\n")
    has_tokens = rendered.slots.word in rendered.text
    for one in reading.documents:

        def source(path: JsonPath, at: Any = one.at) -> Source:
            return Source(label, rendered.line(at.of(*path).line))

        filler = Filler(rendered.slots, lines, one.at, source, report)
        data = filler.filled(one.data, ()) if has_tokens else one.data
        if not filler.failed:
            found.append(Document(data, source))
    return found


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


class Filler:
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
