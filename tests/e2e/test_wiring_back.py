"""From Kubernetes into machines and back: objects feed a configuration, a machine is published as a Service."""

from __future__ import annotations

import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import SMALL, Estate

pytestmark = pytest.mark.lab

TOKEN, NEXT_TOKEN = "canary-token-5d1e", "canary-token-9b2f"
FILES = {
    "site.yaml": """\
apiVersion: orchestrator/v1alpha1
kind: Site
metadata: {name: lab, labels: {env: dev}}
spec:
  stable: {provider: static, inventory: hosts.yml, bind: {db: {group: db}, app: {group: app}}}
  agile: {cluster: {lab: true}}
""",
    # This computer, under an address that pods could have: an EndpointSlice takes no loopback address.
    "hosts.yml": """\
all:
  vars:
    ansible_connection: local
    ansible_python_interpreter: PYTHON
    orchestrator_state_folder: "STATE/{{ inventory_hostname }}"
  children:
    db: {hosts: {db-a: {ansible_host: 10.99.0.1}}}
    app: {hosts: {app-a: {ansible_host: 10.99.0.2}}}
""",
    "shop.yaml": """\
apiVersion: orchestrator/v1alpha1
kind: Placement
metadata: {name: shop}
spec:
  blueprint: ./blueprints/shop
  sites: {}
  values: {token: {secretRef: {env: TOKEN}}}
""",
    "blueprints/shop/blueprint.yaml": """\
apiVersion: orchestrator/v1alpha1
kind: Blueprint
metadata: {name: shop, version: 1.0.0}
spec:
  parameters:
    token: {type: secret}
    nodePort: {type: integer, default: 30917}
  stable:
    db:
      configure: {playbook: play.yaml, vars: {text: database}}
      publish: {service: orders-db, port: 5432}
      outputs: {port: {type: integer, value: 5432}}
    app:
      configure:
        playbook: play.yaml
        vars:
          text: '${agile.web.outputs.ip + " " + string(agile.web.outputs.nodePort)}'
          token: ${agile.web.outputs.token}
  agile:
    web:
      namespace: shop
      manifests: [web.yaml.j2]
      vars: {token: "${parameters.token}", nodePort: "${parameters.nodePort}", port: "${stable.db.outputs.port}"}
      outputs:
        ip: {type: string, value: '${objects["Service/web"].spec.clusterIP}'}
        nodePort: {type: integer, value: '${objects["Service/web"].spec.ports[0].nodePort}'}
        token: {type: secret, value: '${objects["Secret/web"].stringData.token}'}
""",
    "blueprints/shop/play.yaml": """\
- hosts: all
  gather_facts: false
  tasks:
    - name: What it was told
      ansible.builtin.copy:
        content: "{{ text }} {{ token | default('') }}"
        dest: "TOLD/{{ inventory_hostname }}"
""",
    "blueprints/shop/web.yaml.j2": """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: {{ port }}, nodePort: {{ nodePort }}}]}
---
apiVersion: v1
kind: Secret
metadata: {name: web}
stringData: {token: {{ token | tojson }}}
""",
}
SLICE = "agile/db/EndpointSlice.discovery.k8s.io/shop/orders-db"


@pytest.fixture(scope="module")
def estate(lab_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """Two hosts of an inventory beside the lab's cluster, nothing applied yet."""
    top = tmp_path_factory.mktemp("wiring")
    root, told = top / "estate", top / "told"
    root.mkdir()
    told.mkdir()
    shutil.copy(SMALL / "orchestrator.yaml", root)
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = text.replace("STATE/", f"{top}/state/").replace("TOLD/", f"{told}/")
        path.write_text(text.replace("PYTHON", sys.executable))
    it = Estate(root, {**lab_environment, "TOKEN": TOKEN})
    it.write("orchestrator.yaml", "5b0d1c1e-8a41-4a0e-9d0c-6c1d2e3f4a5b", str(uuid.uuid4()))
    yield it
    it.kubectl("delete", "namespace", "shop", "--ignore-not-found", "--timeout=60s")


def told(estate: Estate, host: str) -> str:
    return (estate.root.parent / "told" / host).read_text()


def addresses(estate: Estate) -> str:
    return estate.field("endpointslice/orders-db", "{.endpoints[*].addresses[*]}")


def test_what_lives_in_the_cluster_feeds_a_configuration_in_the_same_run(estate: Estate) -> None:
    planned = estate.plan()
    assert planned["stable/app/configuration/app-a"] == "later"
    assert planned[SLICE] == "create"
    estate.apply()
    ip = estate.field("service/web", "{.spec.clusterIP}")
    assert told(estate, "app-a") == f"{ip} 30917 {TOKEN}"
    assert addresses(estate) == "10.99.0.1"
    assert estate.field("service/orders-db", "{.spec.ports[0].port}") == "5432"
    assert estate.plan() == {}


def test_what_changes_there_changes_it_in_the_same_plan(estate: Estate) -> None:
    estate.write("blueprints/shop/blueprint.yaml", "default: 30917", "default: 30918")
    estate.environment["TOKEN"] = NEXT_TOKEN
    ran = estate("plan")
    out = " ".join(ran.out.split())  # lines break where an address is long
    assert "vars.token (secret, changed)" in out, ran
    assert "30917 → " in out, ran
    estate.apply()
    assert told(estate, "app-a").endswith(f" 30918 {NEXT_TOKEN}")
    assert estate.plan() == {}


def test_a_published_machine_is_followed_and_pruned(estate: Estate) -> None:
    estate.write("hosts.yml", "10.99.0.1", "10.99.0.7")
    assert estate.plan()[SLICE] == "update"
    estate.apply()
    assert addresses(estate) == "10.99.0.7"
    estate.write("hosts.yml", "10.99.0.7", "127.0.0.1")
    assert "has the address 127.0.0.1, which only that machine itself reaches" in estate("plan").ended(1).err
    estate.write("hosts.yml", "127.0.0.1", "10.99.0.7")
    estate.write("blueprints/shop/blueprint.yaml", "      publish: {service: orders-db, port: 5432}\n", "")
    assert estate.plan() == {SLICE: "delete", "agile/db/Service/shop/orders-db": "delete"}
    estate.apply()
    names = estate.kubectl("--namespace", "shop", "get", "endpointslices,services", "-o", "name")
    assert "orders-db" not in names


def test_no_secret_of_the_cluster_is_in_what_was_printed_or_kept(estate: Estate) -> None:
    kept = [path for path in (estate.root / ".orchestrator").rglob("*") if path.is_file()]
    texts = [*estate.printed, *(path.read_bytes().decode(errors="replace") for path in kept)]
    for token in (TOKEN, NEXT_TOKEN):
        assert not any(token in text for text in texts)
    assert kept
    assert Path(estate.root / ".orchestrator" / "state.db") in kept
