"""Manifests: objects with their places, templates with secret and unknown values, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.model.address import Address
from orchestrator.model.change import Known
from orchestrator.model.values import Secret, Unknown
from tests.desired.estates import PLACEMENT, Made, Make

SPEC = """
parameters:
  password: {type: secret}
  list: {type: list, default: [a, b]}
stable:
  db:
    machines: {count: 1}
    outputs:
      host: {type: string, value: "${machines[0].address}"}
      hosts: {type: list, value: "${machines.map(m, m.address)}"}
      port: {type: integer, value: '${size(machines[0].address)}'}
agile:
  web:
    namespace: web
    manifests: [m]
    vars:
      secret: ${parameters.password}
      host: ${stable.db.outputs.host}
      hosts: ${stable.db.outputs.hosts}
      port: ${stable.db.outputs.port}
      plain: "a: b"
      list: ${parameters.list}
      mixed: {password: "${parameters.password}", port: 1}
"""
PLACED = PLACEMENT.replace("values: {}", "values: {password: {secretRef: {env: PASSWORD}}}")
HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n"
DB = Address.parse("lab/shop/stable/db/machine/db-0")
KNOWN = Known(machines={DB: {"address": "10.0.0.1"}})


def of(make: Make, text: str, name: str = "m/x.yaml.j2", **more: str) -> Made:
    return make(SPEC, {name: text, **{f"m/{key}": content for key, content in more.items()}}, placement=PLACED)


def data_of(make: Make, line: str, known: Known | None = None) -> Any:
    """The value of `v` in a manifest with this line."""
    made = of(make, HEAD + f"data:\n  v: {line}\n")
    found = made.unit("lab/shop/agile/web/ConfigMap/web/x", known, PASSWORD="pa:ss").spec["object"]
    return found["data"]["v"]


HOST = Unknown("string", frozenset({str(DB)}))

PRINTED = [
    # (what stands in the template, its value, the plain value of a secret or of what is known later)
    ("{{ secret }}", Secret("pa:ss"), "pa:ss"),
    ('"{{ secret }}"', Secret("pa:ss"), "pa:ss"),
    ("{{ secret | tojson }}", Secret("pa:ss"), "pa:ss"),
    ("user:{{ secret }}@x", Secret, "user:pa:ss@x"),
    ("{{ secret | b64encode }}", Secret, "cGE6c3M="),
    ("{{ secret | upper }}", Secret, "PA:SS"),
    ("{{ mixed | tojson }}", dict, {"password": "pa:ss", "port": 1}),
    ("'{{ mixed | tojson }}'", Secret, '{"password": "pa:ss", "port": 1}'),
    ("{{ host }}", HOST, "10.0.0.1"),
    ("{{ host | default('x') }}", HOST, "10.0.0.1"),
    ("'{{ host }}:{{ port }}'", Unknown, "10.0.0.1:8"),
    ("{{ host ~ ':1' }}", Unknown, "10.0.0.1:1"),
    ("{{ port }}", Unknown, 8),
    ("'{{ port }}'", Unknown, "8"),
    ("{{ port | to_json }}", Unknown, 8),
    ("{{ hosts }}", Unknown, ["10.0.0.1"]),
    ("{{ hosts | join(',') }}", Unknown, "10.0.0.1"),
    ("'{{ secret }} at {{ host }}'", Unknown, "pa:ss at 10.0.0.1"),
    ("|\n    a={{ host }}\n    b={{ secret }}", Unknown, "a=10.0.0.1\nb=pa:ss\n"),
    ("{% set x %}<{{ host }}>{% endset %}{{ x }}", Unknown, "<10.0.0.1>"),
    ("{{ plain | tojson }}", "a: b", "a: b"),
    ("{{ list }}", ["a", "b"], ["a", "b"]),
    ("{% for each in list %}{{ each }}{% endfor %}", "ab", "ab"),
    ("{{ true }}", True, True),
]  # fmt: skip


@pytest.mark.parametrize(("line", "now", "_"), PRINTED, ids=[each[0] for each in PRINTED])
def test_secret_and_unknown_values_are_printed(make: Make, line: str, now: Any, _: Any) -> None:
    found = data_of(make, line)
    if isinstance(now, type):
        assert isinstance(found, now)
    elif isinstance(now, Secret):
        assert found.reveal() == now.reveal()
    else:
        assert found == now


@pytest.mark.parametrize(("line", "_", "later"), PRINTED, ids=[each[0] for each in PRINTED])
def test_what_was_unknown_is_later_as_if_it_had_been_known_all_along(make: Make, line: str, _: Any, later: Any) -> None:
    found = data_of(make, line, KNOWN)
    if isinstance(found, dict):
        found = {key: value.reveal() if isinstance(value, Secret) else value for key, value in found.items()}
    assert (found.reveal() if isinstance(found, Secret) else found) == later


REFUSED = [
    ("{% if secret %}x{% endif %}", "a value that is secret can be printed"),
    ("{% if host == 'x' %}x{% endif %}", "a value that is not known yet can be printed"),
    ("{% for h in hosts %}{{ h }}{% endfor %}", "not known yet"),
    ("{{ port + 1 }}", "not known yet"),
    ("{{ secret[0] }}", "secret"),
    ("{{ secret | length }}", "`length` over a value that is secret"),
    ("{{ secret.value }}", "secret"),
    ("{{ secret._text }}", "unsafe"),
    ("{{ '%s' % secret }}", "secret"),
    ("{% set x %}{{ secret }}{% endset %}{% if x == 'a' %}{% endif %}", "secret"),
    ("{{ nope }}", "'nope' is undefined"),
    ("{{ plian }}", "did you mean `plain`?"),
    ("{{ ().__class__.__mro__ }}", "unsafe"),
    ("{{ 'x' * 10000000 }}", "`*` makes more than"),
    ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "range() is asked for more"),
    ("{% for i in range(999999) %}xxxxxxxxxx{% endfor %}", "renders more than 8 MiB"),
    ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "without end"),
    ("{% include '../../../etc/passwd' %}", "there is no file"),
    ("{% include '/etc/passwd' %}", "there is no file"),
    ("{% if %}", "not valid Jinja2"),
    ("{{ 1 / 0 }}", "division by zero"),
    ("{{ [1, 2] | random }}", "No filter named 'random'"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), REFUSED, ids=[each[0] for each in REFUSED])
def test_what_a_template_cannot_do_is_told_at_its_line(make: Make, line: str, message: str) -> None:
    found = of(make, HEAD + f"data:\n  v: {line}\n").check()
    assert len(found) == 1, found
    assert found[0].startswith("app/m/x.yaml.j2:6: ")
    assert message in found[0]


def test_a_file_may_include_and_import_others_of_the_blueprint(make: Make) -> None:
    text = (
        "{% import '_lib.j2' as lib %}" + HEAD + "data:\n  v: {% include 'm/_part.j2' %}\n\n  w: {{ lib.f(secret) }}\n"
    )
    files = {"_part.j2": "{{ host }}", "_lib.j2": "{% macro f(x) %}<{{ x }}>{% endmacro %}"}
    found = of(make, text, **files).unit("lab/shop/agile/web/ConfigMap/web/x", PASSWORD="p").spec["object"]
    assert found["data"]["v"] == HOST
    assert found["data"]["w"].reveal() == "<p>"


def test_yaml_that_is_broken_after_templating_is_told_at_the_templates_line(make: Make) -> None:
    text = "{# a comment\n   of two lines #}\n{% for each in list %}\n{% if true %}\n" + HEAD.replace(
        "x\n", "{{ each }}\n"
    )
    text += "data:\n  v: {{ plain }}\n---\n{% endif %}\n{% endfor %}\n"
    found = of(make, text).check()
    assert len(found) == 1, found
    assert found[0].startswith("app/m/x.yaml.j2:10: ")
    assert "the line is rendered as `v: a: b`" in found[0]


def test_a_rendered_line_in_a_message_has_no_secret(make: Make) -> None:
    made = of(make, HEAD + "data:\n  v: [{{ secret }}: {{ host }}: 1\n")
    found = [str(each) for each in made.wrong(PASSWORD="canary").diagnostics]
    assert found
    assert "(secret)" in "".join(found)
    assert "canary" not in "".join(found)


OBJECT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"apiVersion": None}, "`apiVersion` is missing in the manifest"),
        ({"kind": ""}, "`kind` is missing in the manifest"),
        ({"kind": "config map"}, "`config map` cannot be the kind of an object; as Deployment"),
        ({"kind": "List"}, "a List has its objects in `items`"),
        ({"apiVersion": "v1beta/x"}, "cannot be the apiVersion"),
        ({"metadata": None}, "`metadata` is missing"),
        ({"metadata": {}}, "`metadata.name` is missing"),
        ({"metadata": {"name": "X_Y"}}, "`X_Y` cannot be the metadata.name of an object; it has at most 253"),
        ({"metadata": {"name": 5}}, "`metadata.name` must be a text"),
        ({"metadata": {"generateName": "x-"}}, "`generateName` makes another object at each apply"),
        ({"metadata": {"name": "x", "namespace": "A/B"}}, "cannot be the metadata.namespace"),
        ({"metadata": {"name": "x", "labels": {"a": 1}}}, "`a` among the labels must be a text; quote it"),
        ({"metadata": {"name": "x", "labels": {"a": "b c"}}}, "`b c` cannot be the value of a label"),
        ({"metadata": {"name": "x", "labels": {"a b": "c"}}}, "`a b` cannot be the key of one of the labels"),
        ({"metadata": {"name": "x", "annotations": ["a"]}}, "`metadata.annotations` must be a map"),
        ({"metadata": {"name": "x", "labels": {"a": "b" * 64}}}, "cannot be the value of a label; at most 63"),
        ({"metadata": {"name": "x" * 254}}, "cannot be the metadata.name of an object"),
        ({"kind": "Service", "metadata": {"name": "x" * 64}}, "a Service has at most 63 characters, this one has 64"),
        ({"kind": "Namespace", "metadata": {"name": "x" * 64}}, "a Namespace has at most 63 characters"),
        (
            {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "x" * 53}},
            "the name of a CronJob has at most 52 characters, this one has 53; shorten it",
        ),
        ({"data": {"v": "x" * 1_600_000}}, "the object has 1.6 MB"),
        ({"data": {"v": "x" * 2_000_000}}, "the object has 2.0 MB; a cluster takes 1.5 MB at most; split it, or keep"),
        ({"kind": "Namespace", "metadata": {"name": "x", "namespace": "y"}}, "a Namespace has no namespace"),
    ],
)
def test_what_no_cluster_would_take_is_told_before_any_is_asked(make: Make, change: Any, message: str) -> None:
    found = of(make, json.dumps({**OBJECT, **change}), "m/x.json").check()
    assert len(found) == 1, found
    assert found[0].startswith("app/m/x.json:1:")
    assert message in found[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("apiVersion: v1\nkind: {{ host }}\nmetadata: {name: x}\n", "`kind` is a value that is not known yet"),
        (
            "apiVersion: v1\nkind: X\nmetadata: {name: a-{{ host }}}\n",
            "`metadata.name` is a value that is not known yet",
        ),
        ("apiVersion: v1\nkind: X\nmetadata: {name: '{{ secret }}'}\n", "`metadata.name` is a value that is secret"),
        (
            "apiVersion: v1\nkind: X\nmetadata: {name: x}\ndata: {'{{ secret }}': 1}\n",
            "a key holds a value that is secret",
        ),
        ("- a\n", "a manifest must be a map"),
        ("a: 1\na: 2\n", "the key `a` is here twice"),
    ],
)
def test_what_an_object_is_must_be_known_and_plain(make: Make, text: str, message: str) -> None:
    made = of(make, text)
    for secrets in ({}, {"PASSWORD": "x"}):
        found = [str(each) for each in made.wrong(**secrets).diagnostics]
        assert found
        assert message in "".join(found)


def addresses(made: Made) -> list[str]:
    units = made.resolve().units
    return [f"{unit.address.kind} {unit.address.name}" for unit in units if unit.address.mode == "agile"]


def test_namespaces_are_filled_in_but_for_what_has_none(make: Make) -> None:
    text = """
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: other}}
---
# nothing here
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: "system:x"}}
---
apiVersion: v1
kind: List
items:
  - {apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}
  - {apiVersion: example.com/v1, kind: Thing, metadata: {name: t}}
  - {apiVersion: example.com/v1, kind: Wide, metadata: {name: w}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: wides.example.com}
spec: {group: example.com, scope: Cluster, names: {kind: Wide}}
"""
    made = of(make, text, "m/x.yaml")
    assert addresses(made) == [
        "ConfigMap web/a",
        "ConfigMap other/b",
        "ClusterRole.rbac.authorization.k8s.io system:x",
        "Deployment.apps web/d",
        "Thing.example.com web/t",
        "Wide.example.com w",
        "CustomResourceDefinition.apiextensions.k8s.io wides.example.com",
    ]
    unit = made.unit("lab/shop/agile/web/Deployment.apps/web/d")
    assert unit.spec["object"]["metadata"] == {"name": "d", "namespace": "web"}
    assert (unit.spec["where"], unit.spec["timeout"], unit.spec["namespace"]) == ("app/m/x.yaml:13", 300.0, "web")
    assert unit.identity == "Deployment.apps/web/d"
    assert "namespace" not in made.unit("lab/shop/agile/web/Wide.example.com/w").spec["object"]["metadata"]


def test_anchors_and_merges_of_a_manifest_count_and_their_fields_have_places(make: Make) -> None:
    text = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: &labels {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: *labels}
  template:
    metadata: {labels: {<<: *labels, more: "yes"}}
    spec:
      containers:
        - &one
          name: one
          image: x
        - <<: *one
          name: two
"""
    unit = of(make, text, "m/x.yaml").unit("lab/shop/agile/web/Deployment.apps/web/web")
    spec = unit.spec["object"]["spec"]
    assert spec["selector"] == {"matchLabels": {"app": "web"}}
    assert spec["template"]["metadata"]["labels"] == {"app": "web", "more": "yes"}
    assert spec["template"]["spec"]["containers"] == [{"name": "one", "image": "x"}, {"name": "two", "image": "x"}]
    containers = ("spec", "template", "spec", "containers")
    places = [("spec", "replicas"), (*containers, 0, "image"), (*containers, 1, "name"), ("status", "none")]
    assert unit.at is not None
    assert [unit.at(path).line for path in places] == [5, 13, 15, 1]
    assert unit.at((*containers, 1, "image")).line in (13, 14)  # where it is written, or merged


def test_a_folder_gives_its_files_in_order_without_parts_and_other_files(make: Make) -> None:
    one = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "%s"}}'
    files = {
        "b.yaml": one % "b",
        "a/z.json": one.replace("{", "{\n\t", 1) % "z",
        "_x.yaml.j2": "{{ nope }}",
        "README.md": "x",
    }
    made = of(make, one % "x", "m/x.yml", **files)
    assert addresses(made) == ["ConfigMap web/z", "ConfigMap web/b", "ConfigMap web/x"]


def test_two_workloads_with_one_object_are_told_with_both_places(make: Make) -> None:
    spec = SPEC + "  twin:\n    namespace: web\n    after: [agile.web]\n    manifests: [twin.yaml]\n"
    made = make(spec, {"m/x.yaml": HEAD, "twin.yaml": "# first\n" + HEAD}, placement=PLACED)
    found = made.check()
    assert len(found) == 1, found
    assert found[0].startswith("app/twin.yaml:2:1: ConfigMap web/x is declared twice at site lab; ")
    assert "shop/agile/web has it at app/m/x.yaml:1:1, shop/agile/twin here" in found[0]


OUTPUT = "    outputs:\n      ip: {type: string, value: '${objects[\"%s\"].spec.ip}'}\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ConfigMap/y", "the workload has no object `ConfigMap/y`; did you mean `ConfigMap/x`?"),
        ("ConfigMap/x", ""),
        ("ConfigMap/web/x", ""),
    ],
)
def test_an_output_names_an_object_by_kind_and_name(make: Make, name: str, message: str) -> None:
    found = make(SPEC + OUTPUT % name, {"m/x.yaml": HEAD}, placement=PLACED).check()
    assert [message in each for each in found] == ([True] if message else []), found


def test_an_object_in_a_manifest_that_is_wrong_is_not_also_missing(make: Make) -> None:
    found = make(SPEC + OUTPUT % "ConfigMap/x", {"m/x.yaml.j2": HEAD + "data: {{ nope }}\n"}, placement=PLACED).check()
    assert len(found) == 1, found
    assert "'nope' is undefined" in found[0]


def test_an_object_named_twice_needs_its_namespace(make: Make) -> None:
    files = {"m/x.yaml": HEAD, "m/y.yaml": HEAD + "  namespace: other\n"}
    found = make(SPEC + OUTPUT % "ConfigMap/x", files, placement=PLACED).check()
    assert len(found) == 1, found
    assert "write one of ConfigMap/web/x, ConfigMap/other/x" in found[0]


def test_a_live_objects_field_is_unknown_until_the_object_has_it(make: Make) -> None:
    address = Address.parse("lab/shop/agile/web/ConfigMap/web/x")
    spec = SPEC + OUTPUT % "ConfigMap/x" + "outputs:\n  ip: {type: string, value: '${agile.web.outputs.ip}'}\n"
    made = make(spec, {"m/x.yaml": HEAD}, placement=PLACED)

    def ip(known: Known) -> Any:
        return made.resolve(known).outputs["lab", "shop"]["ip"]

    assert ip(Known()) == Unknown("any", frozenset({str(address)}))
    assert isinstance(ip(Known(objects={address: {"spec": {}}})), Unknown)
    assert ip(Known(objects={address: {"spec": {"ip": "10.0.0.7"}}})) == "10.0.0.7"
    wrong = made.wrong(Known(objects={address: {"spec": {"ip": 7}}}))
    assert "output `ip` must be a string, not an integer" in str(wrong.diagnostics[0])


def test_templates_of_blueprints_that_nobody_uses_are_checked_too(make: Make) -> None:
    other = "apiVersion: orchestrator/v1alpha1\nkind: Blueprint\nmetadata: {name: other, version: 1.0.0}\n"
    other += "spec:\n  parameters: {a: {type: string}}\n  agile: {w: {manifests: [w.yaml.j2]}}\n"
    other += "  outputs: {x: {type: string, value: '${parameters.b}'}}\n"
    made = make(
        SPEC, {"m/x.yaml": HEAD}, placement=PLACED, estate_files={"o/blueprint.yaml": other, "o/w.yaml.j2": "{% x"}
    )
    found = made.check()
    assert [each.partition(": ")[0] for each in found] == ["o/blueprint.yaml:7:52", "o/w.yaml.j2:1"]
