"""The fields of an agile workload's source that may hold expressions, each by its path below the workload."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.desired import names
from orchestrator.desired.fields import Compiler, Field
from orchestrator.documents.base import Model
from orchestrator.documents.workloads import AgileWorkload
from orchestrator.documents.written import JsonPath

# By the last keys of a path; `*` is any key. What is not here is a text.
_TYPES: Mapping[tuple[str, ...], str] = {
    ("container", "replicas"): "integer",
    ("ports", "*"): "integer",
    ("autoscaling", "min"): "integer",
    ("autoscaling", "max"): "integer",
    ("autoscaling", "cpu"): "integer",
    ("autoscaling", "memory"): "integer",
    ("job", "retries"): "integer",
    ("job", "suspend"): "boolean",
    ("env", "*"): "any",
    ("login", "*"): "any",
    ("values", "*"): "any",
}
# What says which objects there are has to be known before anything is seen.
_SETTLED = (("kustomize",), ("helm", "release"), ("helm", "kubeVersion"), ("helm", "apiVersions"))


def compile_source(compiler: Compiler, path: JsonPath, model: AgileWorkload) -> dict[JsonPath, Field]:
    """The fields of the workload at `path`."""
    source = getattr(model, model.source)
    given: dict[str, Any] = {}
    if isinstance(source, Model):
        given = {model.source: source.model_dump(by_alias=True, exclude_unset=True)}
    elif model.source == "kustomize":
        given = {"kustomize": source}
    found = {}
    for inner, value in _leaves((), given):
        roots = names.SETTLED if inner[:2] in _SETTLED or inner[:1] in _SETTLED else names.WORKLOAD
        found[inner] = compiler.field((*path, *inner), value, _expected(inner, value), roots)
    return found


def _leaves(path: JsonPath, value: Any) -> Iterator[tuple[JsonPath, Any]]:
    """What is no map; a chart's values are whole below their first key."""
    if isinstance(value, dict) and path[-2:-1] not in (("values",), ("env",)):
        for key, inner in value.items():
            yield from _leaves((*path, key), inner)
    elif value is not None:
        yield path, value


def _expected(path: JsonPath, value: Any) -> str:
    if not (isinstance(value, str) and "${" in value):
        return "any"  # the model has checked it
    last = (str(path[-2]) if len(path) > 1 else "", str(path[-1]))
    return _TYPES.get(last) or _TYPES.get((last[0], "*")) or "string"
