"""What an agile workload's objects come from: exactly one source each, all with one interface.

A source makes documents, each with the place of its fields; objects.py makes objects of them, whatever the source.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from orchestrator.desired import manifests
from orchestrator.desired.blueprints import Agile, Ref
from orchestrator.desired.here import Here
from orchestrator.desired.kept import frozen
from orchestrator.desired.objects import Document, Report


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
    here, lookup = asked.here, asked.here.lookup(asked.ref)
    variables = {name: each.value(lookup, here.report) for name, each in asked.workload.vars.items()}
    folder = here.blueprint.source.folder
    files = manifests.files_of(folder, asked.workload.model.manifests)

    def make(report: Report) -> list[Document]:
        return manifests.documents(folder, files, here.templates, variables, report)

    return Recipe((tuple(files), frozen(variables)), make)


SOURCES: Mapping[str, Source] = {"manifests": _manifests}
