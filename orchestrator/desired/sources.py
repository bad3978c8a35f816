"""What an agile workload's objects come from: exactly one source each, all with one interface.

A source makes documents, each with the place of its fields; objects.py makes objects of them, whatever the source.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from orchestrator.desired import container, helm, kustomize, manifests
from orchestrator.desired.blueprints import Agile, Ref
from orchestrator.desired.here import Here
from orchestrator.desired.kept import frozen
from orchestrator.desired.objects import Document, Report
from orchestrator.documents.agile_sources import Helm
from orchestrator.documents.loaded import Folder
from orchestrator.documents.source_paths import inside
from orchestrator.documents.written import JsonPath
from orchestrator.model.rendering import HelmRequest, Login, RemoteChart
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
    make   makes them; what is wrong is reported, and what it is wrong with is left out; a warning is only to be known
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


def _helm(asked: Asked) -> Recipe:
    here, model = asked.here, asked.workload.model.helm
    assert model is not None
    given = _computed(asked)
    values = {str(path[1]): value for path, value in given.items() if path[0] == "values"}
    folder, source = here.blueprint.source.folder, here.source(asked.workload, "helm", "chart")
    files = {name.removeprefix(f"{inside(model.chart)}/"): content for name, content in _below(folder, model.chart)}
    request = HelmRequest(
        release=str(given.get(("release",), asked.ref[1])),
        namespace=asked.namespace,
        values={},
        files={} if model.remote else files,
        archive=b"" if model.remote else folder.files.get(inside(model.chart) or "", b""),
        remote=_remote(model, given) if model.remote else None,
        values_files=tuple(folder.files.get(inside(name) or "", b"") for name in model.values_files),
        crds=model.crds,
        kube_version=str(given.get(("kubeVersion",), "")),
        api_versions=tuple(map(str, given.get(("apiVersions",), ()))),  # type: ignore[arg-type]
    )
    label = model.chart if model.remote else f"{folder.label}/{inside(model.chart)}"
    chart = helm.Asked(request, values, label, source)

    def make(report: Report) -> list[Document]:
        if not isinstance(given.get(("login", "password"), Secret("")), Secret | Unknown):
            at = here.source(asked.workload, "helm", "login", "password")
            report(Diagnostic(at, "this password is no secret", "take it from a parameter of type `secret`"))
            return []
        return helm.documents(chart, here.render, report) if here.render else []

    return Recipe((asked.ref, here.render is None, _frozen_paths(given)), make)


def _remote(model: Helm, given: Mapping[JsonPath, Value]) -> RemoteChart:
    """Without a login where its secret was not read: what is kept needs none."""
    words = [given.get(("login", name)) for name in ("username", "password")]
    known = model.login is not None and not any(isinstance(word, Unknown) for word in words)
    login = Login(*(str(word.reveal() if isinstance(word, Secret) else word) for word in words)) if known else None
    return RemoteChart(model.chart, model.repository or "", model.version or "", model.digest or "", login)


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


def _below(folder: Folder, name: str) -> list[tuple[str, bytes]]:
    inner = inside(name)
    return [(file, content) for file, content in folder.files.items() if file.startswith(f"{inner}/")]


def _frozen_paths(values: Mapping[JsonPath, Value]) -> Hashable:
    return tuple((path, frozen(value)) for path, value in values.items())


RENDERED = ("helm", "kustomize")  # by a program: nothing is known of their objects where none may be run
SOURCES: Mapping[str, Source] = {
    "manifests": _manifests,
    "container": _container,
    "helm": _helm,
    "kustomize": _kustomize,
}
