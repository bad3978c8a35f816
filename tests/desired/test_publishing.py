"""A stable workload published into the cluster: which objects, when, and what is refused."""

from __future__ import annotations

import pytest

from orchestrator.model.address import Address
from orchestrator.model.change import Known
from orchestrator.model.unit import Unit
from orchestrator.model.values import Unknown
from tests.desired.estates import Made, Make

BLUEPRINT = """
  stable:
    db:
      machines: {count: 2}
      configure: {playbook: play.yaml}
      publish: {service: orders-db, port: 5432}
      outputs:
        port: {type: integer, value: 5432}
  agile:
    web:
      namespace: shop
      when: ${site.capabilities.cluster}
      manifests: [web.yaml]
      vars: {port: "${stable.db.outputs.port}"}
"""
FILES = {
    "play.yaml": "- hosts: all\n",
    "web.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n",
}
STATIC = """
apiVersion: orchestrator/v1alpha1
kind: Site
metadata: {name: dc}
spec:
  stable: {provider: static, inventory: hosts.yml, bind: {db: {group: db}}}
  agile: {cluster: {kubeconfig: kubeconfig}}
"""
PROVIDED = STATIC.replace("provider: static, inventory: hosts.yml, bind: {db: {group: db}}", "provider: ours")
SERVICE = "dc/shop/agile/db/Service/shop/orders-db"
SLICE = "dc/shop/agile/db/EndpointSlice.discovery.k8s.io/shop/orders-db"


def estate(make: Make, blueprint: str = BLUEPRINT, site: str = STATIC) -> Made:
    provider = {"providers/ours/provider.yaml": "title: ours\nprovisions: true\n"}
    more = dict.fromkeys(("observe", "ensure", "remove"), "- hosts: localhost\n")
    provider |= {f"providers/ours/{name}.yml": text for name, text in more.items()}
    return make(
        blueprint, files=FILES, site=site, estate_files={"hosts.yml": "db: {hosts: {a: {}, b: {}}}\n", **provider}
    )


def hosts(*addresses: str) -> Known:
    named = {name: {"address": address, "groups": ["db"]} for name, address in zip("ab", addresses, strict=True)}
    return Known(hosts={"dc": named})


def test_a_service_without_selector_and_a_slice_with_each_machine(make: Make) -> None:
    made = estate(make)
    known = hosts("10.0.0.1", "10.0.0.2")
    service, endpoints = made.unit(SERVICE, known), made.unit(SLICE, known)
    assert service.spec["object"] == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "orders-db", "namespace": "shop"},
        "spec": {"ports": [{"port": 5432, "protocol": "TCP"}]},
    }
    thing = endpoints.spec["object"]
    assert isinstance(thing, dict)
    assert thing["addressType"] == "IPv4"
    assert thing["endpoints"] == [
        {"addresses": [address], "conditions": {"ready": True}} for address in ("10.0.0.1", "10.0.0.2")
    ]
    configurations = {Address.parse(f"dc/shop/stable/db/configuration/{name}") for name in "ab"}
    assert service.needs == endpoints.needs == configurations
    web = made.unit("dc/shop/agile/web/ConfigMap/shop/web", known)
    assert web.needs == configurations | {service.address, endpoints.address}


def test_addresses_that_are_not_known_yet_are_waited_for(make: Make) -> None:
    made = estate(make, site=PROVIDED)
    unit: Unit = made.unit(SLICE)
    assert unit.unknown == {f"dc/shop/stable/db/machine/db-{index}" for index in range(2)}
    assert not made.unit(SERVICE).unknown
    machines = [Address.parse(f"dc/shop/stable/db/machine/db-{index}") for index in range(2)]
    found = made.unit(
        SLICE, Known(machines={machine: {"address": f"fd00::{i}"} for i, machine in enumerate(machines, 1)})
    )
    thing = found.spec["object"]
    assert isinstance(thing, dict)
    assert thing["addressType"] == "IPv6"
    assert not isinstance(thing["endpoints"], Unknown)


@pytest.mark.parametrize(
    ("addresses", "said"),
    [
        (
            ("127.0.0.5", "10.0.0.2"),
            "machine a at dc has the address 127.0.0.5, which only that machine itself reaches",
        ),
        (
            ("10.0.0.1", "db2.example"),
            "machine b at dc is reached by a name (db2.example), and an EndpointSlice takes IP",
        ),
        (("10.0.0.1", "fd00::2"), "its machines at dc have IPv4 and IPv6 addresses"),
        (("10.0.0.1", "169.254.1.1"), "only that machine itself reaches"),
    ],
)
def test_what_pods_cannot_reach_is_refused_with_the_reason(make: Make, addresses: tuple[str, str], said: str) -> None:
    (found,) = estate(make).wrong(hosts(*addresses)).diagnostics
    assert said in found.message
    assert str(found.source).startswith("app/blueprint.yaml:9:16")


def test_the_lab_is_refused_before_anything_is_made(make: Make) -> None:
    (found,) = make(BLUEPRINT, files=FILES).check()
    assert "machines of site lab have loopback addresses, which pods cannot reach" in found


def test_it_is_published_where_it_says_or_where_it_is_used(make: Make) -> None:
    elsewhere = BLUEPRINT.replace("port: 5432}\n      outputs", "port: 5432, namespace: data}\n      outputs")
    made = estate(make, elsewhere)
    assert made.unit(SERVICE.replace("/shop/orders-db", "/data/orders-db"), hosts("10.0.0.1", "10.0.0.2"))
    more = BLUEPRINT + "    jobs:\n      namespace: jobs\n      manifests: [web.yaml]\n      after: [stable.db]\n"
    found = estate(make, more).resolve(hosts("10.0.0.1", "10.0.0.2")).units
    assert [u.address.name for u in found if u.address.kind == "Service"] == ["jobs/orders-db", "shop/orders-db"]


def test_used_by_nobody_or_named_as_an_agile_workload_it_is_refused(make: Make) -> None:
    unused = BLUEPRINT.replace('      vars: {port: "${stable.db.outputs.port}"}\n', "")
    (found,) = estate(make, unused).wrong(hosts("10.0.0.1", "10.0.0.2")).diagnostics
    assert found.message == "stable.db is published nowhere: no agile workload refers to it"
    twice = BLUEPRINT.replace("    web:\n", "    db:\n")
    (found,) = estate(make, twice).wrong(hosts("10.0.0.1", "10.0.0.2")).diagnostics
    assert "there is an agile workload of that name" in found.message


def test_without_a_cluster_nothing_is_published(make: Make) -> None:
    site = STATIC.replace("  agile: {cluster: {kubeconfig: kubeconfig}}\n", "")
    found = estate(make, site=site).resolve(hosts("10.0.0.1", "10.0.0.2")).units
    assert {unit.address.mode for unit in found} == {"stable"}
