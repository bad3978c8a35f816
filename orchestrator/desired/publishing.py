"""A stable workload published into the cluster of its site: a Service without selector, and an EndpointSlice."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TypeAlias

from orchestrator.desired.blueprints import Ref, Stable, written
from orchestrator.desired.here import Here
from orchestrator.desired.objects import is_namespace
from orchestrator.model.address import Address, Mode
from orchestrator.model.source import Diagnostic
from orchestrator.model.unit import Unit
from orchestrator.model.values import Secret, Unknown, Value

SLICE = "EndpointSlice.discovery.k8s.io"
LAB = "lab"
TIMEOUT = 60.0
Object: TypeAlias = dict[str, Value]


def resolve(here: Here, ref: Ref) -> None:
    """The units that publish a workload here; none where it does not ask for it, or where nobody could use it."""
    workload = here.blueprint.stable[ref[1]]
    publish = workload.model.publish
    if publish is None or here.site.model.spec.agile is None or ref[1] not in here.machines:
        return
    namespaces = _namespaces(here, ref, workload)
    port = workload.publish["port"].value(here.lookup(ref), here.report)
    problems = list(_problems(here, ref, workload))
    for problem in problems:
        here.report(problem)
    if problems or not namespaces or _is_wrong_port(here, workload, port):
        return
    here.published[ref] = [
        unit
        for namespace in namespaces
        for unit in (
            _unit(here, ref, "Service", _service(publish.service, namespace, port), namespaces[0]),
            _unit(here, ref, SLICE, _slice(here, ref, publish.service, namespace, port), namespaces[0]),
        )
    ]


def _namespaces(here: Here, ref: Ref, workload: Stable) -> list[str]:
    """Where it is published: as it says, else where the agile workloads are that refer to it."""
    own = workload.publish.get("namespace")
    if own is not None:
        fields = [own]
    else:
        users = [(mode, name) for (mode, name), needs in here.blueprint.needs.items() if ref in needs]
        agile = [one for one in users if one[0] == Mode.AGILE]
        if not agile:
            what = f"{written(ref)} is published nowhere: no agile workload refers to it"
            hint = "add `namespace:` to `publish`, or leave it out"
            here.report(Diagnostic(here.source(workload, "publish"), what, hint))
        fields = [here.blueprint.agile[name].namespace for mode, name in agile if (mode, name) in here.included]
    found: dict[str, None] = {}
    for field in fields:
        value = field.value(here.lookup(ref), here.report)
        if isinstance(value, str) and is_namespace(value):
            found[value] = None
        elif own is not None and not isinstance(value, Unknown | Secret):
            here.report(Diagnostic(field.source, f"`{str(value)[:80]}` is not a namespace's name"))
    return sorted(found)


def _problems(here: Here, ref: Ref, workload: Stable) -> Iterator[Diagnostic]:
    """What forbids to publish it here."""
    source = here.source(workload, "publish")
    if ref[1] in here.blueprint.agile:
        what = f"{written(ref)} is published, and there is an agile workload of that name"
        yield Diagnostic(source, what, "give one of them another name: what is published is agile, under the same name")
    stable = here.site.model.spec.stable
    if stable is not None and stable.provider == LAB:
        what = f"machines of site {here.site_name} have loopback addresses, which pods cannot reach"
        yield Diagnostic(source, f"{written(ref)} cannot be published: {what}", "leave `publish` out for the lab")
        return
    families = set()
    for machine in here.machines[ref[1]]:
        if isinstance(machine.address, str):
            why, family = _unusable(machine.address)
            families.add(family)
            if why:
                what = f"{written(ref)} cannot be published: machine {machine.name} at {here.site_name} {why}"
                yield Diagnostic(source, what, "give the host an IP address that pods can reach, as `ansible_host`")
    if len(families - {0}) > 1:
        what = f"{written(ref)} cannot be published: its machines at {here.site_name} have IPv4 and IPv6 addresses"
        yield Diagnostic(source, what, "give all of them addresses of one family")


def _unusable(address: str) -> tuple[str, int]:
    """Why pods cannot reach an address through an EndpointSlice ("" if they can), and its family (0: none)."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return f"is reached by a name ({address[:80]}), and an EndpointSlice takes IP addresses only", 0
    if ip.is_loopback or ip.is_unspecified or ip.is_link_local or ip.is_multicast:
        return f"has the address {ip}, which only that machine itself reaches", ip.version
    return "", ip.version


def _is_wrong_port(here: Here, workload: Stable, port: Value) -> bool:
    field = workload.publish["port"]
    if isinstance(port, Unknown) or (isinstance(port, int) and 1 <= port <= 65535):
        return False
    shown = "a secret" if isinstance(port, Secret) else port
    here.report(Diagnostic(field.source, f"`port` must be a port from 1 to 65535, not {shown}"))
    return True


def _service(name: str, namespace: str, port: Value) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [{"port": port, "protocol": "TCP"}]},
    }


def _slice(here: Here, ref: Ref, name: str, namespace: str, port: Value) -> Object:
    """One endpoint for each machine, in their order."""
    addresses = [machine.address for machine in here.machines[ref[1]]]
    known = next((address for address in addresses if isinstance(address, str)), "")
    endpoints: list[Value] = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {
                "kubernetes.io/service-name": name,
                "endpointslice.kubernetes.io/managed-by": "orchestrator",
            },
        },
        "addressType": f"IPv{_unusable(known)[1] or 4}",
        "ports": [{"port": port, "protocol": "TCP"}],
        "endpoints": endpoints,
    }


def _unit(here: Here, ref: Ref, kind: str, thing: Object, home: str) -> Unit:
    workload = here.blueprint.stable[ref[1]]
    meta = thing["metadata"]
    assert isinstance(meta, dict)
    name = f"{meta['namespace']}/{meta['name']}"
    source = here.source(workload, "publish")
    return Unit(
        address=Address(here.site_name, here.placement, Mode.AGILE, ref[1], kind, name),
        spec={"object": thing, "timeout": TIMEOUT, "namespace": home, "where": f"{source.file}:{source.line}"},
        inputs={"object": thing},
        identity=f"{kind}/{name}",
        source=source,
        needs=here.last_of(ref),
        protected=here.protected(workload),
        blueprint=here.blueprint.label,
    )
