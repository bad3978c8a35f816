"""What outputs read of objects: as they will be after an apply, a Secret's values as secrets."""

from __future__ import annotations

import base64
from typing import Any

from orchestrator.desired.live import expected
from orchestrator.model.address import Address
from orchestrator.model.change import Known
from orchestrator.model.values import Secret, Unknown
from tests.desired.estates import Make

BLUEPRINT = """
  parameters: {port: {type: integer, default: 30080}}
  stable:
    app:
      configure:
        playbook: play.yaml
        vars:
          where: '${agile.web.outputs.ip + ":" + string(agile.web.outputs.port)}'
          token: ${agile.web.outputs.token}
  agile:
    web:
      manifests: [web.yaml.j2]
      vars: {port: "${parameters.port}"}
      outputs:
        ip: {type: string, value: '${objects["Service/web"].spec.clusterIP}'}
        port: {type: integer, value: '${objects["Service/web"].spec.ports[0].nodePort}'}
        token: {type: secret, value: '${objects["Secret/web"].stringData.token}'}
"""
MANIFESTS = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, ports: [{port: 80, nodePort: {{ port }}}]}
---
apiVersion: v1
kind: Secret
metadata: {name: web}
data: {made: aGVyZQ==}
"""
SERVICE, SECRET = (Address.parse(f"lab/shop/agile/web/{kind}/default/web") for kind in ("Service", "Secret"))
CONFIGURATION = "lab/shop/stable/app/configuration/app-0"
LIVE: dict[str, Any] = {
    "spec": {"clusterIP": "10.0.0.7", "ports": [{"port": 80, "nodePort": 31000, "protocol": "TCP"}]}
}
TOKEN = "canary-77ab"


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_configuration_is_told_what_a_service_will_be_and_a_secrets_key_as_a_secret(make: Make) -> None:
    made = make(BLUEPRINT, files={"play.yaml": "- hosts: all\n", "web.yaml.j2": MANIFESTS})
    before = made.unit(CONFIGURATION).inputs
    assert isinstance(before["vars.where"], Unknown)
    assert before["vars.where"].needs == {str(SERVICE)}
    assert isinstance(before["vars.token"], Unknown)
    assert before["vars.token"].secret

    secret = {"data": {"token": Secret(base64_of(TOKEN), "Secret default/web")}}
    unit = made.unit(CONFIGURATION, Known(objects={SERVICE: LIVE, SECRET: secret}))
    assert unit.inputs["vars.where"] == "10.0.0.7:30080"  # as declared, though 31000 is there now
    assert unit.inputs["vars.token"] == Secret(TOKEN, "Secret default/web")
    assert unit.needs >= {SERVICE, SECRET}
    assert TOKEN not in repr(unit)
    assert base64_of(TOKEN) not in repr(unit)


def test_of_a_secret_what_is_declared_comes_over_what_lives() -> None:
    live = {"metadata": {"uid": "u1"}, "data": {"a": Secret(base64_of("old")), "raw": Secret("/w==")}}
    declared: dict[str, Any] = {"stringData": {"a": Secret("new"), "b": Unknown("string", frozenset({"x"}))}}
    found: dict[str, Any] = expected("Secret", "n/s", live, declared)
    assert found["metadata"] == {"uid": "u1"}
    assert found["stringData"]["a"].reveal() == "new"
    assert found["data"]["a"].reveal() == base64_of("new")
    assert found["stringData"]["b"] == Unknown("string", frozenset({"x"}), secret=True)
    assert "raw" in found["data"]
    assert "raw" not in found["stringData"]


def test_what_is_secret_or_not_known_in_a_manifest_leaves_what_lives() -> None:
    declared: dict[str, Any] = {
        "spec": {"a": 2, "b": Secret("x"), "c": Unknown("string"), "list": [1], "new": {"d": 1}, "hidden": Secret("y")}
    }
    live = {"spec": {"a": 1, "b": "live", "c": "live", "list": [1, 2]}}
    assert expected("Service", "n/s", live, declared) == {
        "spec": {"a": 2, "b": "live", "c": "live", "list": [1], "new": {"d": 1}}
    }
