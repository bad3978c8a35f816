"""Expressions: what is wrong is told with line, column and what would be right, before anything is contacted."""

from __future__ import annotations

import pytest

from orchestrator.model.values import Unknown
from tests.desired.estates import FIRST_LINE, Make

SPEC = """
parameters:
  replicas: {type: integer, default: 3}
  ratio: {type: number, default: 2}
  name: {type: string, default: shop}
  on: {type: boolean, default: true}
  hosts: {type: list, default: [a, b]}
  extra: {type: map, default: {a: {b: 1}}}
stable:
  orders-db:
    machines: {count: 2}
    outputs:
      host: {type: string, value: "${machines[0].address}"}
      port: {type: integer, value: 6379}
agile:
  web:
    manifests: [web.yaml]
    vars:
      x: '%s'
"""
LINE = FIRST_LINE + 17
COLUMN = 13  # of the first character inside of the quotes
FILES = {"web.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n"}

WRONG = [
    # (expression, the offset that is shown, what, hint)
    ('${stable["orders-db"].outputs.hots}', 30, "unknown output `hots` of stable.orders-db", "did you mean `host`?"),
    ("${stable.orders-db.outputs.host}", 9, "unknown stable workload `orders`", 'brackets: stable["orders-db"]'),
    ('${stable["orders-bd"].outputs.host}', 10, "unknown stable workload `orders-bd`", "did you mean `orders-db`?"),
    ('${agile["orders-db"].outputs.host}', 9, "unknown agile workload", 'did you mean stable["orders-db"]?'),
    ('${stable["orders-db"].output.host}', 22, "stable.orders-db has outputs only", ".outputs.NAME"),
    ("${stable[parameters.name].outputs.host}", 19, "a stable workload must be named literally", "orders-db"),
    ("${parameters.replicaz}", 13, "unknown parameter `replicaz`", "did you mean `replicas`?"),
    ('${"é" + parameters.replicaz}', 19, "unknown parameter `replicaz`", "did you mean `replicas`?"),
    ("${parameters}", 2, "name a parameter", "there are extra, hosts"),
    ("${paramters.replicas}", 2, "unknown name `paramters`", "did you mean `parameters`?"),
    ("${machines[0].address}", 2, "`machines` cannot be used here", "parameters, site, stable and agile"),
    ('${objects["Service/web"].spec}', 2, "`objects` cannot be used here", ""),
    ("${site.nmae}", 7, "unknown part `nmae` of the site", "did you mean `name`?"),
    ("${site.capabilities.gpu}", 20, "unknown capability `gpu`", "cluster"),
    ("${has(parameters.name)}", 6, "has() of parameter `name`", "leave it out"),
    ("${parameters.replicas + parameters.name}", 22, "`+` does not take an integer and a string", "string(…)"),
    ("${parameters.replicas * 2.5}", 22, "`*` does not take an integer and a number", "double(…)"),
    ("${parameters.name ? 1 : 2}", 18, "before `?` must be true or false, not a string", "compare"),
    ("${parameters.on ? 1 : parameters.name}", 16, "must have one type, not an integer and a string", ""),
    ("${parameters.hosts.jion(\",\")}", 23, "unknown function `jion`", ""),
    ("${1 +}", 5, "the expression ends too early", ""),
    ("${}", 2, "the expression is empty", "$${"),
    ("${parameters.name parameters.on}", 18, "`parameters` does not belong here", ""),
    ("x ${parameters.hosts}", 4, "a list cannot be part of a text", "join"),
    ('${timestamp("2020-01-01T00:00:00Z")}', 2, "gives a timestamp, which no document can hold", "string(…)"),
    ("${site.values.domian}", 14, "site lab has no value `domian`", "did you mean `domain`?"),
    ("${site.labels.evn}", 14, "site lab has no label `evn`", "did you mean `env`?"),
    ("${parameters.extra.c.d}", 2, "there is no key `c`", ""),
    ("${parameters.hosts[7]}", 2, "there is no element 7, the list has 2", ""),
    ("${1 / 0}", 2, "divide by zero", ""),
    ("${parameters.replicas > 2 ? site.values.port + 1 : site.values.domain}", 26, "must have one type", ""),
    ('${site.values.port + stable["orders-db"].outputs.host}', 19, "does not take an integer and a string", ""),
    ("${" + "(" * 300 + "1" + ")" * 300 + "}", None, "nested too deeply", "split it"),
    ("${" + "+".join(["1"] * 300) + "}", None, "nested too deeply", "split it"),
    ("${parameters.extra" + ".a" * 300 + "}", None, "nested too deeply", "split it"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "offset", "message", "hint"), WRONG, ids=[each[0][:60] for each in WRONG])
def test_a_wrong_expression_is_told_at_its_column(
    make: Make, text: str, offset: int | None, message: str, hint: str
) -> None:
    found = make(SPEC % text, FILES).check()
    assert len(found) == 1, found
    place, _, rest = found[0].partition(": ")
    if offset is not None:
        assert place == f"app/blueprint.yaml:{LINE}:{COLUMN + offset}", found
    assert message in rest
    assert hint in rest


RIGHT = [
    ("${parameters.replicas}", 3),
    ("${parameters.ratio}", 2),
    ("${parameters.ratio * 1.5}", 3.0),
    ("${parameters.hosts}", ["a", "b"]),
    ("${parameters.extra.a.b}", 1),
    ('${parameters.extra["a"]}', {"b": 1}),
    ('${parameters["name"]}', "shop"),
    ("x${parameters.replicas}y${parameters.on}", "x3ytrue"),
    ("${parameters.name}${parameters.ratio}", "shop2"),
    ("$${parameters.name}", "${parameters.name}"),
    ("a$${b}${parameters.name}$${", "a${b}shop${"),
    ('${"}" + "{" + parameters.name}', "}{shop"),
    ('${{"a": {"b": 1}}}', {"a": {"b": 1}}),
    ("${site.name}.${site.values.domain}", "lab.shop.localhost"),
    ("${site.labels.env}", "dev"),
    ("${site.capabilities.cluster && !site.capabilities.machines}", False),
    ('${has(site.values.nope) ? site.values.nope : "none"}', "none"),
    ('${"nope" in site.values ? site.values.nope : "none"}', "none"),
    ('${has(site.labels.env) ? site.labels.env : "none"}', "dev"),
    ('${parameters.hosts.map(h, h + "." + site.name).join(",")}', "a.lab,b.lab"),
    ('${stable["orders-db"].outputs.port + 1}', 6380),
    ("${parameters.name.upperAscii()}", None),  # whatever the library has
    ("${[1, 2.5, null]}", [1, 2.5, None]),
    ("${ parameters.name }", "shop"),
    ("plain", "plain"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), RIGHT, ids=[each[0] for each in RIGHT])
def test_an_expression_keeps_its_type_and_a_text_holds_it_printed(make: Make, text: str, value: object) -> None:
    shown = {
        "web.yaml": None,
        "web.json.j2": '{"apiVersion":"v1","kind":"X","metadata":{"name":"x"},"x":{{ x|tojson }}}',
    }
    files = {name: content for name, content in shown.items() if content}
    made = make(SPEC.replace("web.yaml", "web.json.j2") % text, files)
    found = made.unit("lab/shop/agile/web/X/default/x").spec["object"]
    assert isinstance(found, dict)
    if value is not None:
        assert found["x"] == value
        assert type(found["x"]) is type(value)


def test_an_expression_over_what_is_not_known_yet_is_unknown_and_names_what_it_waits_for(make: Make) -> None:
    spec = SPEC % "x" + 'outputs:\n  url: {type: string, value: \'${"http://" + stable["orders-db"].outputs.host}\'}\n'
    url = make(spec, FILES).resolve().outputs["lab", "shop"]["url"]
    assert url == Unknown("string", frozenset({"lab/shop/stable/orders-db/machine/orders-db-0"}))


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ('{type: integer, value: "${parameters.name}"}', "output `x` must be an integer, not a string"),
        ("{type: string, value: 3}", "output `x` must be a string, not an integer"),
        ('{type: list, value: "${parameters.extra}"}', "output `x` must be a list, not a map"),
        ('{type: integer, value: "a ${parameters.replicas}"}', "output `x` must be an integer, not a string"),
        ('{type: integer, value: "${parameters.extra.a}"}', "output `x` must be an integer, not a map"),
    ],
)
def test_an_output_has_its_declared_type(make: Make, output: str, message: str) -> None:
    found = make(SPEC % "x" + f"outputs:\n  x: {output}\n", FILES).check()
    assert len(found) == 1, found
    assert message in found[0]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("count", '"${parameters.name}"', "`count` must be an integer, not a string"),
        ("count", '"${parameters.replicas - 9}"', "`count` must be between 0 and 10000, not -6"),
        ("count", '"${size(machines)}"', "`machines` cannot be used here"),
        ("image", '"${parameters.replicas}"', "`image` must be a string, not an integer"),
        ("cpu", '"${parameters.ratio}"', "`cpu` must be an integer, not a number"),
    ],
)
def test_a_machines_field_has_its_type(make: Make, key: str, value: str, message: str) -> None:
    spec = f"""
    parameters:
      replicas: {{type: integer, default: 3}}
      ratio: {{type: number, default: 2.5}}
      name: {{type: string, default: shop}}
    stable:
      db:
        machines: {{{key}: {value}}}
    """
    found = make(spec).check()
    assert len(found) == 1, found
    assert message in found[0]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("machines.map(m, m.addr)", "unknown field `addr` of a machine; did you mean `address`?"),
        ("machines[0].adress", "unknown field `adress` of a machine; did you mean `address`?"),
        ("machines[2].name", "there is no machine 2, the workload has 2"),
    ],
)
def test_a_machine_has_a_name_and_an_address(make: Make, expression: str, message: str) -> None:
    spec = f"""
    stable:
      db:
        machines: {{count: 2}}
        outputs:
          x: {{type: any, value: "${{{expression}}}"}}
    """.replace("type: any", "type: list" if "map" in expression else "type: string")
    found = make(spec).check()
    assert len(found) == 1, found
    assert message in found[0]


def test_wrong_types_of_one_sites_values_are_found_though_the_rest_is_unknown(make: Make) -> None:
    other = """
apiVersion: orchestrator/v1alpha1
kind: Site
metadata: {name: other}
spec:
  values: {domain: other, port: "eighty"}
  stable: {provider: lab}
  agile: {cluster: {lab: true}}
"""
    text = '${site.values.port + 1 > 2 ? stable["orders-db"].outputs.host : ""}'
    found = make(SPEC % text, FILES, estate_files={"other.yaml": other}).check()
    assert len(found) == 1, found
    assert "`+` does not take a string and an integer (shop at other)" in found[0]


def test_all_errors_are_told_at_once_each_once(make: Make) -> None:
    spec = SPEC % "${parameters.a} ${parameters.b}" + "outputs:\n  x: {type: string, value: '${parameters.c}'}\n"
    found = make(spec, FILES).check()
    assert [each.partition("`")[2].partition("`")[0] for each in found] == ["a", "c"]
