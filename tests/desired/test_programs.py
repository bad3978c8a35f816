"""Pulumi programs: their unit, what it is made from, and their outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator import documents
from orchestrator.model.address import Address
from orchestrator.model.change import Known
from orchestrator.model.values import Secret, Unknown
from tests.desired.estates import Make, build

QUEUE = Address.parse("lab/shop/agile/queue/program/shop/queue")
FILES = {"agile/queue/__main__.py": "import pulumi\n", "web.yaml.j2": ""}
SPEC = """
agile:
  queue:
    namespace: shop
    program: agile/queue
    vars: {size: 3, "aws:region": "${site.values.domain}"}
    outputs: {port: {type: integer}, token: {type: secret}}
  web:
    manifests: [web.yaml.j2]
    vars: {port: "${agile.queue.outputs.port}", token: "${agile.queue.outputs.token}"}
"""
WEB = """
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {port: "{{ port }}", token: {{ token | tojson }}}
"""


def known(**outputs: Any) -> Known:
    return Known(objects={QUEUE: {"outputs": outputs}})


def test_a_program_is_one_unit_made_from_its_files_and_vars(make: Make) -> None:
    more = {"Pulumi.yaml": "name: orders\nruntime: python\n", "Pulumi.dev.yaml": "config: {}\n", "lib/a.py": "1\n"}
    files = {**FILES, "web.yaml.j2": WEB, **{f"agile/queue/{name}": text for name, text in more.items()}}
    unit = make(SPEC, files).unit(str(QUEUE))
    assert sorted(unit.inputs) == [
        "agile/queue/Pulumi.yaml",
        "agile/queue/__main__.py",
        "agile/queue/lib/a.py",
        "vars.aws:region",
        "vars.size",
    ]
    assert unit.spec["project"] == "orders"
    assert unit.spec["vars"] == {"size": 3, "aws:region": "shop.localhost"}
    assert unit.spec["outputs"] == {"port": "integer", "token": "secret"}


def test_outputs_are_not_known_before_and_typed_after(make: Make) -> None:
    made = make(SPEC, {**FILES, "web.yaml.j2": WEB})
    address = "lab/shop/agile/web/ConfigMap/default/web"
    before = made.unit(address)
    assert before.unknown == {str(QUEUE)}
    after = made.unit(address, known(port=5432, token="t0p"))
    data = after.spec["object"]["data"]  # type: ignore[index, call-overload]
    assert data["port"] == "5432"
    assert isinstance(data["token"], Secret)
    assert data["token"].reveal() == "t0p"
    wrong = made.unit(address, known(port="x", token=Unknown("any")))
    assert wrong.unknown == {str(QUEUE)}


def test_a_project_without_a_name_is_an_error(make: Make) -> None:
    made = make(SPEC, {**FILES, "agile/queue/Pulumi.yaml": "runtime: python\n"})
    assert [str(d) for d in made.wrong().diagnostics] == [
        "app/agile/queue/Pulumi.yaml:1:1: the project has no name that Pulumi takes; write `name:` in it, "
        "or remove the file"
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("program: agile/queue", "program: agile/quee", "there is no folder `agile/quee`"),
        ("program: agile/queue", "program: agile", "the folder `agile` has no __main__.py"),
        ("program: agile/queue", "program: ../x", "leaves the blueprint's folder"),
        ("{type: integer}", "{type: integer, value: 1}", "leave `value` out"),
        ("[web.yaml.j2]\n", "[web.yaml.j2]\n    program: agile/queue\n", "needs exactly one of"),
        ('{port: "${agile', '{"a:b": 1, port: "${agile', "only the configuration of a `program` has"),
        ("manifests: [web", "outputs: {x: {type: string}}\n    manifests: [web", "output `x` has no `value`"),
    ],
)
def test_mistakes_of_blueprints_with_programs(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in SPEC
    build(tmp_path, SPEC, FILES)
    blueprint = tmp_path / "app" / "blueprint.yaml"
    before, after = old.replace("\n", "\n  "), new.replace("\n", "\n  ")  # as it is indented there
    blueprint.write_text(blueprint.read_text().replace(before, after, 1))
    found = [str(each) for each in documents.load(tmp_path).diagnostics]
    assert len(found) == 1, found
    assert said in found[0]
