"""Whatever is written, loading answers with diagnostics that point into the file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestrator import documents
from orchestrator.documents.parameters import check_declarations
from orchestrator.documents.validation import KINDS, to_document
from orchestrator.documents.yaml import read
from orchestrator.errors import DocumentsError
from tests.documents.conftest import FILES

PIECES = st.sampled_from(
    [
        "a", "b: ", "- ", "{", "}", "[", "]", ", ", "\n", "  ", "    ", "&a ", "*a", "<<: ", "!t ", "!!int ", "'", '"',
        "|\n", ">\n", "#", "? ", "---\n", "...\n", "${", "}", "0", "0o7", "1e9", "~", "\t", "\r\n", "\r", "é", "\0",
        "%YAML 1.2\n", "apiVersion: orchestrator/v1alpha1\n", "kind: Site\n", "metadata: {name: x}\n", "spec: {}\n",
    ]
)  # fmt: skip
YAMLISH = st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=200)

_KEYS = """
    apiVersion kind metadata name version id labels spec parameters type default enum minimum maximum pattern
    stable agile configure playbook roles vars ready tcp http port command within outputs value when after
    manifests sites matchLabels matchExpressions key operator values overrides blueprint provider inventory
    bind group cluster lab kubeconfig secretRef env file machines count memory helm windows db web
"""
KEYS = st.sampled_from(_KEYS.split())
ODD = ["${", "${a}", "string", "integer", "In", "1.2.0", "shop@^1", "./x", "../..", "a\0b", "x" * 300, "("]
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
    | st.sampled_from(ODD)
)  # fmt: skip
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=5),
    max_leaves=25,
)


def assert_inside(diagnostics: Any, file: str, text: str) -> None:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for diagnostic in diagnostics:
        if diagnostic.source.file == file and diagnostic.source.line:
            assert 1 <= diagnostic.source.line <= len(lines), diagnostic
            assert 1 <= diagnostic.source.column <= len(lines[diagnostic.source.line - 1]) + 1, diagnostic


@given(YAMLISH)
@example("a: 'b\n")
@settings(max_examples=500, deadline=None)
def test_reading_never_raises_and_points_into_the_file(text: str) -> None:
    reading = read(text, "f.yaml")
    assert_inside(reading.diagnostics, "f.yaml", text)
    for document in reading.documents:
        for place in (*document.at.values.values(), *document.at.keys.values()):
            assert place[0] >= 1
            assert place[1] >= 1


@given(YAMLISH, st.sampled_from(sorted(FILES)), st.floats(0, 1))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_loading_raises_nothing_but_documents_errors(text: str, file: str, where: float) -> None:
    at = int(len(FILES[file]) * where)
    damaged = FILES[file][:at] + text + FILES[file][at:]
    with tempfile.TemporaryDirectory() as folder:
        for name, content in {**FILES, file: damaged}.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode("utf-8", "surrogatepass"))
        try:
            diagnostics = documents.load(Path(folder)).diagnostics
        except DocumentsError as error:
            diagnostics = error.diagnostics
        assert_inside(diagnostics, file, damaged)


@given(TREES, st.sampled_from(sorted(KINDS)))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_validation_never_raises(tree: Any, kind: str) -> None:
    data = {"apiVersion": "orchestrator/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": tree}
    if isinstance(tree, dict) and "metadata" in tree:
        data |= tree
    to_document(documents_parsed(data))


TYPES = st.sampled_from(["string", "integer", "number", "boolean", "list", "map", "secret"])
PARAMETERS = st.fixed_dictionaries(
    {"type": TYPES},
    optional={
        "default": TREES,
        "enum": st.lists(SCALARS, max_size=3),
        "pattern": st.text(max_size=8),
        "minimum": st.integers(),
    },
)


@given(st.dictionaries(st.sampled_from(["a", "in"]), PARAMETERS))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_declarations_are_judged_whatever_they_say(parameters: Any) -> None:
    data = {
        "apiVersion": "orchestrator/v1alpha1",
        "kind": "Blueprint",
        "metadata": {"name": "x", "version": "1.0.0"},
        "spec": {"parameters": parameters},
    }
    document, _ = to_document(documents_parsed(data))
    if document is not None:
        list(check_declarations(document))  # type: ignore[arg-type]


def documents_parsed(data: Any) -> Any:
    from orchestrator.documents.written import Positions
    from orchestrator.documents.yaml import Parsed

    return Parsed(data, Positions("f.yaml"))
