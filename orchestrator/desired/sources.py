"""What an agile workload's objects come from: exactly one source each, all with one interface.

A source makes documents, each with the place of its fields; objects.py makes objects of them, whatever the source.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from orchestrator.desired import container, kustomize, manifests
from orchestrator.desired.blueprints import Agile, Ref
from orchestrator.desired.here import Here
from orchestrator.desired.kept import frozen
from orchestrator.desired.objects import Document, Report
from orchestrator.documents.loaded import JsonPath
from orchestrator.documents.source_paths import inside
from orchestrator.model.source import Diagnostic
from orchestrator.model.values import Secret, Unknown, Value


@dataclass(frozen=True, slots=True)
class Asked:
    """What a source is asked for: the objects of one agile workload of one placement at one site."""

    here: Here
    ref: Ref
    workload: Agile
    namespace: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a source makes documents.

    key    everything that goes in: with the same key the documents are the same, and are made once
    make   makes them; what is wrong is reported, and what it is wrong with is left out
    """

    key: Hashable
    make: Callable[[Report], list[Document]]


Source: TypeAlias = Callable[[Asked], Recipe]


def _manifests(asked: Asked) -> Recipe:
    here, variables = asked.here, _variables(asked)
    folder = here.blueprint.source.folder
    files = manifests.files_of(folder, asked.workload.model.manifests)

    def make(report: Report) -> list[Document]:
        return manifests.documents(folder, files, here.templates, variables, report)

    return Recipe((tuple(files), frozen(variables)), make)


def _computed(asked: Asked) -> dict[JsonPath, Value]:
    """The fields of the source, by their paths below its key."""
    lookup = asked.here.lookup(asked.ref)
    return {path[1:]: each.value(lookup, asked.here.report) for path, each in asked.workload.source.items()}


def _container(asked: Asked) -> Recipe:
    here, model = asked.here, asked.workload.model.container
    assert model is not None
    given = container.Given(
        name=asked.ref[1],
        model=model,
        values=_computed(asked),
        variables=_variables(asked),
        folder=here.blueprint.source.folder,
        templates=here.templates,
        at=lambda path: here.source(asked.workload, "container", *path),
    )
    key = (asked.ref, _frozen_paths(given.values), frozen(dict(given.variables)))
    return Recipe(key, lambda report: container.documents(given, report))


def _kustomize(asked: Asked) -> Recipe:
    here, variables = asked.here, _variables(asked)
    path = _computed(asked)[()]
    folder, source = here.blueprint.source.folder, here.source(asked.workload, "kustomize")
    name = inside(str(path)) or "."
    chosen = kustomize.Asked(folder, name, here.templates, variables, source)

    def make(report: Report) -> list[Document]:
        if isinstance(path, Secret | Unknown) or inside(str(path)) is None:
            report(Diagnostic(source, "`kustomize` must be a known folder of the blueprint", "name one inside it"))
            return []
        return kustomize.documents(chosen, here.render, report) if here.render else []

    return Recipe((asked.ref, here.render is None, str(path), frozen(variables)), make)


def _variables(asked: Asked) -> dict[str, Value]:
    lookup = asked.here.lookup(asked.ref)
    return {name: each.value(lookup, asked.here.report) for name, each in asked.workload.vars.items()}


def _frozen_paths(values: Mapping[JsonPath, Value]) -> Hashable:
    return tuple((path, frozen(value)) for path, value in values.items())


RENDERED = ("kustomize",)  # by a program: nothing is known of their objects where none may be run
SOURCES: Mapping[str, Source] = {
    "manifests": _manifests,
    "container": _container,
    "kustomize": _kustomize,
}
