"""Secrets in documents: right where they are used, unseen wherever values are shown, and never what decides."""

from __future__ import annotations

import pytest

from orchestrator.desired import secret_refs
from orchestrator.model.values import Secret, masked
from tests.desired.estates import CANARY, PASSWORD, PLACEMENT, Make

SECRETS = """
parameters:
  password: {type: secret}
  users: {type: list, default: []}
stable:
  db:
    configure:
      playbook: db.yaml
      vars:
        plain: ${parameters.password}
        joined: "x ${parameters.password} y"
        computed: ${parameters.password + "!"}
        users: ${parameters.users}
        length: ${size(parameters.password)}
        split: ${parameters.password.split("f")}
    outputs:
      url: {type: string, value: "http://${parameters.password}@db"}
      token: {type: secret, value: "${site.name}"}
agile:
  web:
    manifests: [secret.yaml.j2]
    vars: {url: "${stable.db.outputs.url}", token: "${stable.db.outputs.token}"}
outputs:
  url: {type: string, value: "${stable.db.outputs.url}"}
"""
SECRET_FILES = {
    "db.yaml": "- hosts: all\n",
    "secret.yaml.j2": """\
        apiVersion: v1
        kind: Secret
        metadata: {name: s}
        stringData:
          url: {{ url }}
          quoted: "{{ url | tojson }}"
          encoded: {{ token | b64encode }}
          file: |
            url = {{ url }}
            json = {{ url | tojson }}
        """,
}
WITH_SECRETS = PLACEMENT.replace(
    "values: {}",
    "values:\n    password: {secretRef: {env: PASSWORD}}\n"
    "    users: [{name: a, password: {secretRef: {env: PASSWORD}}}]",
)


def test_what_is_computed_from_a_secret_is_secret_and_right(make: Make) -> None:
    made = make(SECRETS, SECRET_FILES, placement=WITH_SECRETS)
    found = made.unit("lab/shop/stable/db/configuration/db-0", PASSWORD=CANARY).spec["vars"]
    assert isinstance(found, dict)
    revealed = {name: value.reveal() for name, value in found.items() if isinstance(value, Secret)}
    assert revealed == {"plain": CANARY, "joined": f"x {CANARY} y", "computed": CANARY + "!", "length": len(CANARY)}
    assert found["users"] == [{"name": "a", "password": Secret(CANARY, "env PASSWORD")}]
    assert [part.reveal() for part in found["split"]] == CANARY.split("f")


def test_a_secret_goes_into_a_template_unharmed_and_unseen(make: Make) -> None:
    made = make(SECRETS, SECRET_FILES, placement=WITH_SECRETS)
    unit = made.unit("lab/shop/agile/web/Secret/default/s", PASSWORD=CANARY)
    data = unit.spec["object"]["stringData"]
    url = f"http://{CANARY}@db"
    as_json = '"http://canary\\"7f: #\\n{x@db"'
    assert data["url"].reveal() == url
    assert data["quoted"].reveal() == as_json
    assert data["encoded"].reveal() == "bGFi"  # lab
    assert data["file"].reveal() == f"url = {url}\njson = {as_json}\n"


def test_no_secret_is_seen_where_values_are_masked(make: Make) -> None:
    found = make(SECRETS, SECRET_FILES, placement=WITH_SECRETS).resolve(PASSWORD=CANARY)
    shown = repr(found) + str(masked([dict(unit.spec) for unit in found.units]))
    assert "canary" not in shown
    assert "canary" not in str([dict(each) for each in found.outputs.values()])


def test_secrets_that_were_not_read_are_unknown_and_masked(make: Make) -> None:
    made = make(SECRETS, SECRET_FILES, placement=WITH_SECRETS)
    assert made.check() == []
    unit = made.unit("lab/shop/stable/db/configuration/db-0")
    assert unit.secret
    assert masked(unit.spec["vars"])["joined"] == "(secret)"


def test_secrets_are_asked_for_where_they_are_named_if_some_site_uses_them(make: Make) -> None:
    made = make(SECRETS, SECRET_FILES, placement=WITH_SECRETS)
    assert {ref: str(place) for ref, place in secret_refs(made.loaded, {"lab"}).items()} == {PASSWORD: "shop.yaml:9:15"}
    other = "{sites: {}, values: {password: {secretRef: {env: OTHER}}, users: []}}"
    made = make(SECRETS, SECRET_FILES, placement=WITH_SECRETS + f"  overrides: [{other}]\n")
    assert [ref.secret_ref.env for ref in secret_refs(made.loaded, {"lab"})] == ["OTHER"]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("machines: {count: '${size(parameters.password)}'}", "the number of machines must be known and plain"),
        ("when: ${parameters.password == 'x'}", "`when` cannot depend on a secret"),
    ],
)
def test_a_secret_decides_nothing_that_everybody_sees(make: Make, field: str, message: str) -> None:
    made = make(f"parameters:\n  password: {{type: secret}}\nstable:\n  db:\n    {field}\n", placement=_placed())
    for secrets in ({}, {"PASSWORD": "x"}):
        found = [str(each) for each in made.wrong(**secrets).diagnostics]
        assert len(found) == 1, found
        assert message in found[0]


def _placed() -> str:
    return PLACEMENT.replace("values: {}", "values: {password: {secretRef: {env: PASSWORD}}}")


def test_an_error_in_computing_does_not_tell_the_secret(make: Make) -> None:
    spec = "parameters: {password: {type: secret}}\nstable:\n  db:\n    outputs:\n"
    spec += "      x: {type: integer, value: '${int(parameters.password)}'}\n"
    made = make(spec, placement=_placed())
    assert made.check() == []
    found = [str(each) for each in made.wrong(PASSWORD="canary-1").diagnostics]
    assert len(found) == 1
    assert "cannot be computed from the secret's value" in found[0]
    assert "canary" not in found[0]
