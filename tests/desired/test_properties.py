"""Whatever is written: there are units or diagnostics, nothing else is raised, and no secret is ever seen."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import desired
from orchestrator.desired.language import Compiled, Failed, Language, compute
from orchestrator.desired.names import AGILE, Names, Reference
from orchestrator.desired.templates import TemplateFailed, Templates
from orchestrator.documents.loaded import Loaded
from orchestrator.model.change import Known
from orchestrator.model.values import Secret, Unknown, Value, has_secret, has_unknown, masked
from tests.desired.estates import PASSWORD, PLACEMENT, build

CANARY = "canary7f"
TYPES = {"text": "string", "count": "integer", "flag": "boolean", "items": "list", "more": "map", "pass": "secret"}
NAMES = Names(TYPES, {("stable", "db-1"): {"host": "string"}, ("agile", "web"): {"ip": "string"}})
VALUES: dict[str, Value] = {
    "text": "x",
    "count": 3,
    "flag": True,
    "items": ["a", 1, None],
    "more": {"a": {"b": [1.5]}},
    "pass": Secret(CANARY, "env PASSWORD"),
}

PIECES = [
    "parameters.text", "parameters.count", "parameters.flag", "parameters.items", "parameters.more.a",
    "parameters.pass", "stable[\"db-1\"].outputs.host", "agile.web.outputs.ip", "site.values", "site.name",
    "objects[\"Service/x\"]", "size(", ")", "(", "[", "]", "{", "}", " + ", " - ", " == ", " in ", " ? ", " : ",
    ".map(x, ", ".join(", "x", "\"", "'", "\"a\"", "1", "0", "-", "2.5", "null", ",", ".", " ", "/", "%", "!",
    "has(", "int(", "string(", "9223372036854775807", "\n", "é", "//", "\\", "b", "u", ".contains(",
    ".matches(", "timestamp(", "double(",
]  # fmt: skip
LANGUAGE = Language(NAMES)


def lookup(reference: Reference) -> Value:
    if reference.root == "parameters":
        return VALUES[str(reference.keys[0])]
    if reference.root == "stable":
        return Unknown("string", frozenset({"a"}))
    if reference.root == "objects":
        return {"spec": {"a": 1}}
    return {"values": {"a": 1}, "name": "lab"}.get(str(reference.keys[0]), "10.0.0.1") if reference.keys else []


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
def test_an_expression_is_computed_or_told_to_be_wrong_and_a_secret_taints(text: str) -> None:
    compiled = LANGUAGE.compile(text, AGILE)
    if not isinstance(compiled, Compiled):
        assert compiled
        assert all(0 <= wrong.at <= len(text) and wrong.message for wrong in compiled)
        return
    try:
        value = compute(compiled, lookup)
    except Failed as error:
        failed: Failed | None = error
    else:
        failed = None
    if failed is not None:
        assert CANARY not in failed.message + failed.hint
        return
    assert CANARY not in str(masked(value)) + repr(value)
    if any(reference.keys == ("pass",) for reference in compiled.references):
        assert has_secret(value) or value == []
    if any(reference.root == "stable" for reference in compiled.references):
        assert has_unknown(value)


TEMPLATE = [
    "{{ secret }}", "{{ later }}", "{{ plain }}", "{{ secret | tojson }}", "{{ secret | b64encode }}",
    "{{ items }}", "{{", "}}", "{% if plain %}", "{% endif %}", "{% for x in items %}", "{{ x }}",
    "{% endfor %}", "{% set y %}", "{% endset %}", "{{ y }}", "{{ y | upper }}", "{{ y[0] }}",
    "{{ later ~ secret }}", "{% if secret %}", "a: ", "\n", "- ", "'", "\"", " ", "{{ secret | length }}",
    "{{ secret == plain }}", "{{ {plain: secret} }}", "{{ items | join(secret) }}", "{# ", " #}",
    "{% filter lower %}", "{% endfilter %}", "{{ secret.a }}", "{{ items | sort }}", "{% raw %}",
    "{% endraw %}", "|\n  ", "{{ '%s' | format(secret) }}", "{{ secret | string }}",
    "{{ [secret] | list | string }}", "{{ secret | replace('c', 'd') }}",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(TEMPLATE), max_size=10).map("".join))
def test_a_rendered_text_never_has_a_secret_in_it(text: str) -> None:
    secret = Secret(CANARY, "env PASSWORD")
    variables: dict[str, Value] = {
        "secret": secret,
        "later": Unknown("integer", frozenset({"a"})),
        "plain": "p",
        "items": ["a", secret, {"k": secret}],
    }
    try:
        found = Templates({"t.j2": text.encode()}).render("t.j2", variables)
    except TemplateFailed as error:
        failed: TemplateFailed | None = error
    else:
        failed = None
    if failed is not None:
        assert CANARY not in failed.message + failed.hint
        assert 1 <= failed.line <= text.count("\n") + 1
        return
    assert CANARY not in found.text.lower()
    assert len(found.lines) == max(found.text.count("\n") + 1, 1) or not found.text
    assert all(1 <= line <= text.count("\n") + 1 for line in found.lines)


def whole_estate(folder: Path) -> Loaded:
    spec = """
parameters:
  password: {type: secret}
  text: {type: string, default: a}
stable:
  db:
    machines: {count: 1}
    configure: {playbook: db.yaml, vars: {x: "${parameters.password}"}}
    outputs: {host: {type: string, value: "${machines[0].address}"}}
agile:
  web:
    manifests: [web.yaml.j2]
    vars:
      {secret: "${parameters.password}", later: "${stable.db.outputs.host}", plain: "${parameters.text}", items: []}
outputs:
  x: {type: string, value: "${parameters.password}"}
"""
    placement = PLACEMENT.replace("values: {}", "values: {password: {secretRef: {env: PASSWORD}}}")
    return build(folder, spec, {"db.yaml": "- hosts: all\n", "web.yaml.j2": "TEMPLATE"}, placement=placement).loaded


with tempfile.TemporaryDirectory() as _folder:
    ESTATE = whole_estate(Path(_folder))
HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  v: "


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(TEMPLATE), max_size=8).map("".join))
def test_no_masked_unit_output_or_diagnostic_has_a_secret_in_it(text: str) -> None:
    for source in ESTATE.blueprints.values():
        if "web.yaml.j2" in source.folder.files:
            source.folder.files["web.yaml.j2"] = (HEAD + text).encode()
    found = desired.resolve(ESTATE, Known(), {PASSWORD: Secret(CANARY, "env PASSWORD")})
    assert CANARY not in repr(found)
    assert CANARY not in str([masked(dict(unit.spec)) for unit in found.units])
    assert found.diagnostics or any(unit.address.mode == "agile" for unit in found.units)
