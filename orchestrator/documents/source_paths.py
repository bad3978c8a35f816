"""Paths that the sources of agile workloads name, and what a chart must have."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from orchestrator.documents import yaml
from orchestrator.documents.agile_sources import FileOf
from orchestrator.documents.loaded import Folder
from orchestrator.documents.models import Blueprint
from orchestrator.documents.validation import did_you_mean
from orchestrator.documents.workloads import AgileWorkload
from orchestrator.documents.written import JsonPath, Written
from orchestrator.model.source import Diagnostic

KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")


def inside(name: str) -> str | None:
    """A path as the keys of `Folder.files` are written; None where it leaves the folder. `.` becomes the empty text."""
    normal = posixpath.normpath(name)
    if posixpath.isabs(normal) or normal.split("/")[0] == ".." or "\0" in name or name.startswith("~"):
        return None
    return "" if normal == "." else normal


def source_problems(
    document: Written[Blueprint], folder: Folder, at: JsonPath, workload: AgileWorkload
) -> Iterator[Diagnostic]:
    """What a container, chart or kustomization names that is not in the blueprint's folder."""
    if workload.vars and workload.helm is not None:
        source = document.at.of_key(*at, "vars")
        yield Diagnostic(source, "`vars` are for templates of ours; a chart takes `helm.values`", "move them there")
    if workload.container is not None:
        for path, content in workload.container.files.items():
            if isinstance(content, FileOf):
                yield from _file(document, folder, (*at, "container", "files", path, "file"), content.file)
    if workload.kustomize is not None and "${" not in workload.kustomize:
        yield from _kustomization(document, folder, (*at, "kustomize"), workload.kustomize)
    if workload.helm is not None:
        for index, name in enumerate(workload.helm.values_files):
            yield from _file(document, folder, (*at, "helm", "valuesFiles", index), name)
        if not workload.helm.remote:
            yield from _chart(document, folder, (*at, "helm", "chart"), workload.helm.chart)


def _file(document: Written[Blueprint], folder: Folder, at: JsonPath, name: str) -> Iterator[Diagnostic]:
    inner = inside(name)
    if inner is None:
        what = f"the path `{name[:80]}` leaves the blueprint's folder"
        yield Diagnostic(document.at.of(*at), what, "name a file inside it, relative to it")
    elif inner not in folder.files:
        hint = did_you_mean(inner, folder.files) or "paths are relative to the blueprint's folder"
        yield Diagnostic(document.at.of(*at), f"there is no file `{name[:80]}` in {folder.label}", hint)


def _kustomization(document: Written[Blueprint], folder: Folder, at: JsonPath, name: str) -> Iterator[Diagnostic]:
    """A folder with a kustomization, plain or to be rendered."""
    inner = inside(name)
    names = [file.removesuffix(".j2") for file in folder.files]
    found = {posixpath.dirname(file) for file in names if posixpath.basename(file) in KUSTOMIZATIONS}
    if inner not in found:
        what = f"there is no kustomization `{name[:80]}` in {folder.label}"
        hint = did_you_mean(inner or "", found) or "a folder of the blueprint with kustomization.yaml"
        yield Diagnostic(document.at.of(*at), what, hint)


def _chart(document: Written[Blueprint], folder: Folder, at: JsonPath, name: str) -> Iterator[Diagnostic]:
    """A folder with Chart.yaml, or a .tgz."""
    inner = inside(name)
    if inner is None or name.endswith(".tgz"):
        yield from _file(document, folder, at, name)
        return
    content = folder.files.get(f"{inner}/Chart.yaml")
    if content is None:
        what = f"there is no chart `{name[:80]}` in {folder.label}"
        charts = [file.removesuffix("/Chart.yaml") for file in folder.files if file.endswith("/Chart.yaml")]
        hint = "a folder with Chart.yaml, a .tgz, oci://…, or a name in a `repository`"
        yield Diagnostic(document.at.of(*at), what, did_you_mean(inner, charts) or hint)
        return
    yield from yaml.read(content, f"{folder.label}/{inner}/Chart.yaml").diagnostics
