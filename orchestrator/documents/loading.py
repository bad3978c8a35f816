"""Loading an estate: find, read, validate, check, and put together as one value."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.documents.checks import check_blueprint, check_placements, check_sites
from orchestrator.documents.finding import ROOT, Found, Walk, catalogue
from orchestrator.documents.folders import check_paths, read_folder
from orchestrator.documents.loaded import BUILT_IN, BlueprintSource, Folder, Loaded
from orchestrator.documents.models import Blueprint, Estate, Placement, Site
from orchestrator.documents.providers import Provider, provider_at
from orchestrator.documents.validation import KINDS, AnyDocument, to_document
from orchestrator.documents.versions import choose, version
from orchestrator.documents.written import Written
from orchestrator.documents.yaml import Parsed
from orchestrator.errors import DocumentsError
from orchestrator.model.source import Diagnostic, Source
from orchestrator.model.values import digest

Key = tuple[str, str]

_API_VERSION = re.compile(r"orchestrator/v\w+")


def load(root: Path) -> Loaded:
    """All documents of the estate at `root`, with everything that is wrong in them as `diagnostics`.

    Raises DocumentsError, with all diagnostics, where there is no valid Estate document: then nothing has a name.
    """
    root = root.resolve()
    if not (root / ROOT).is_file():
        hint = "`orchestrator init` makes one"
        raise DocumentsError([Diagnostic(Source(str(root)), f"no estate here: no {ROOT} in this folder", hint)])
    shelf = Shelf(root)
    shelf.add_all(Walk(root).run())
    estate = shelf.estate()
    built_in = _catalogue()
    blueprints = {**built_in.blueprints, **shelf.blueprints}
    chosen = _chosen(shelf, blueprints)
    providers = _providers(shelf)
    loaded = Loaded(
        root, estate, blueprints, shelf.sites, shelf.placements, chosen, providers, files=tuple(shelf.files)
    )
    between = [*check_sites(loaded, shelf.broken), *check_placements(loaded, shelf.broken)]
    shelf.problems += [problem for problem in between if problem.source not in shelf.misread]
    return replace(loaded, diagnostics=tuple(sorted({*shelf.problems, *built_in.problems})))


def _chosen(shelf: Shelf, blueprints: Mapping[Key, BlueprintSource]) -> dict[str, Key]:
    """Which blueprint each placement picks."""
    chosen: dict[str, Key] = {}
    for name, placement in shelf.placements.items():
        picked = choose(placement, blueprints, shelf.folders, shelf.root)
        if not isinstance(picked, Diagnostic):
            chosen[name] = picked
        elif "Blueprint" not in shelf.broken:  # else it may be the one that could not be read
            shelf.problems.append(picked)
    return chosen


def _providers(shelf: Shelf) -> dict[str, Provider]:
    """The machine providers that sites name; `check_sites` tells of those that are not there, or wrong."""
    named = {site.model.spec.stable.provider for site in shelf.sites.values() if site.model.spec.stable}
    found = {name: provider_at(shelf.root, name)[0] for name in named}
    return {name: provider for name, provider in found.items() if provider is not None}


def _catalogue() -> Shelf:
    """The built-in blueprints."""
    place = catalogue()
    shelf = Shelf(place or Path("/"), BUILT_IN)
    if place is not None:
        shelf.add_all(Walk(place, shelf.prefix).run())
    return shelf


@dataclass(slots=True)
class Shelf:
    """The documents of one tree, by kind and name, and what is wrong with them."""

    root: Path
    prefix: str = ""
    estates: list[Written[Estate]] = field(default_factory=list)
    blueprints: dict[Key, BlueprintSource] = field(default_factory=dict)
    sites: dict[str, Written[Site]] = field(default_factory=dict)
    placements: dict[str, Written[Placement]] = field(default_factory=dict)
    folders: dict[Path, Key] = field(default_factory=dict)  # real path of a blueprint's folder -> its key
    misread: set[Source] = field(default_factory=set)  # values that are not what was written
    broken: set[str] = field(default_factory=set)  # kinds of which some could not be read
    files: list[str] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)

    def add_all(self, walk: Walk) -> None:
        """All documents that a walk has found."""
        self.problems += walk.problems
        for found in walk.found:
            ours = [parsed for parsed in found.reading.documents if _is_ours(parsed)]
            is_root = found.name == ROOT
            if not (ours or is_root or found.reading.diagnostics):
                continue
            self.files.append(found.name)
            self.problems += found.reading.diagnostics
            self.misread |= {problem.source for problem in found.reading.diagnostics}
            if found.reading.diagnostics:
                self.broken |= {"Blueprint"} if found.blueprint else {"Site", "Placement"}
            for parsed in ours:
                document, problems = to_document(parsed)
                self.problems += [problem for problem in problems if problem.source not in self.misread]
                if document is not None:
                    self.add(document, found)
                else:
                    kind = parsed.data.get("kind")
                    self.broken |= {kind} if kind in KINDS else set(KINDS)

    def add(self, document: AnyDocument, found: Found) -> None:
        """One valid document."""
        written: Any = document
        match document.model:
            case Estate():
                self.estates.append(written)
            case Blueprint():
                self.add_blueprint(written, found)
            case Site():
                self.add_named(self.sites, written, "site")
            case Placement():
                self.add_named(self.placements, written, "placement")

    def add_named(self, shelf: dict[str, Any], document: Written[Any], kind: str) -> None:
        """A site or placement; names are unique."""
        name = document.model.metadata.name
        if (first := shelf.get(name)) is not None:
            hint = f"the first is at {first.at.of('metadata', 'name')}"
            self.problems.append(
                Diagnostic(document.at.of("metadata", "name"), f"a second {kind} named `{name}`", hint)
            )
        else:
            shelf[name] = document

    def add_blueprint(self, document: Written[Blueprint], found: Found) -> None:
        """A blueprint with the content of its folder."""
        metadata = document.model.metadata
        label = found.name.rpartition("/")[0] or self.prefix.rstrip(":")
        folder, problems = read_folder(found.path.parent, label, self.root)
        self.problems += [*problems, *check_blueprint(document)]
        if not problems:  # else what a path names may be there, and only not read
            self.problems += check_paths(document, folder)
        if version(metadata.version) is None:
            return
        key = (metadata.name, metadata.version)
        if (first := self.blueprints.get(key)) is not None:
            hint = f"the first is at {first.document.at.of('metadata', 'name')}; give one of them another version"
            what = f"a second blueprint {metadata.name} {metadata.version}"
            self.problems.append(Diagnostic(document.at.of("metadata", "name"), what, hint))
            return
        own = found.path.relative_to(found.path.parent).as_posix()
        self.blueprints[key] = BlueprintSource(document, folder, _digest(document.model, folder, own))
        self.folders[found.path.parent.resolve()] = key

    def estate(self) -> Written[Estate]:
        """The estate's document: the one in the root's file. Raises DocumentsError where there is no valid one."""
        mine = [written for written in self.estates if written.at.file == ROOT]
        for written in self.estates:
            if written not in mine[:1]:
                hint = f"the estate is {ROOT} at the root; keep another estate out of its folder"
                self.problems.append(Diagnostic(written.at.of("kind"), "a second Estate document", hint))
        if mine:
            return mine[0]
        if not any(problem.source.file == ROOT for problem in self.problems):
            hint = "`orchestrator init` makes one in a new folder"
            self.problems.append(Diagnostic(Source(ROOT, 1, 1), "there is no Estate document in this file", hint))
        raise DocumentsError(sorted(set(self.problems)))


def _is_ours(parsed: Parsed) -> bool:
    """Whether a document is meant for us, be its apiVersion right or wrong."""
    data = parsed.data
    return isinstance(data, dict) and any(
        isinstance(value, str) and _API_VERSION.fullmatch(value) for value in data.values()
    )


def _digest(model: Blueprint, folder: Folder, own: str) -> str:
    """Of what the blueprint says and its files hold; comments, key order and the document's formatting do not count."""
    files: Mapping[str, str] = {
        name: hashlib.sha256(content).hexdigest() for name, content in folder.files.items() if name != own
    }
    data: Any = {"document": model.model_dump(mode="json", by_alias=True), "files": dict(files)}
    return digest(data)
