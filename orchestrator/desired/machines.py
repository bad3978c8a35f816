"""The machines of a stable workload at a site: their names, and what is known of where they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.documents.models import Binding, Site
from orchestrator.documents.validation import did_you_mean, one_of
from orchestrator.documents.written import Written
from orchestrator.model.address import MACHINE, Address, Mode
from orchestrator.model.change import Known
from orchestrator.model.source import Diagnostic, Source
from orchestrator.model.values import Unknown, Value

MAX_NAME = 63


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine: its inventory name, the name that its units' addresses end with, and its address."""

    name: str
    label: str
    address: Value
    unit: Address | None = None  # the machine's own unit; None where it is not ours to make

    def as_value(self) -> dict[str, Value]:
        """What `machines[i]` is in an expression."""
        return {"name": self.name, "address": self.address}


class Unbound(Exception):  # noqa: N818 - carries the diagnostic
    """A static site does not give a workload the machines that it needs."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(str(diagnostic))
        self.diagnostic = diagnostic


def provisioned(site: str, placement: str, workload: str, count: int, known: Known) -> list[Machine]:
    """Machines that a provider makes; the address is known once the machine has been seen."""
    found = []
    for index in range(count):
        label = f"{workload}-{index}"
        unit = Address(site, placement, Mode.STABLE, workload, MACHINE, label)
        address = known.machines.get(unit, {}).get("address")
        where: Value = Unknown("string", frozenset({str(unit)})) if address is None else str(address)
        found.append(Machine(_short(f"{site}-{placement}-{label}"), label, where, unit))
    return found


def static(site: Written[Site], workload: str, count: int, counted: Source, known: Known) -> list[Machine]:
    """Machines that exist, in the order of the inventory (of `hosts:` where they are bound by name). Raises Unbound."""
    stable = site.model.spec.stable
    assert stable is not None
    name = site.model.metadata.name
    binding = stable.bind.get(workload)
    if binding is None:
        what = f"site {name} binds no hosts to stable.{workload}"
        hint = f"add `bind: {{{workload}: {{group: GROUP}}}}`, a group of its inventory"
        raise Unbound(Diagnostic(site.at.of_key("spec", "stable"), what, hint))
    hosts = known.hosts.get(name)
    if hosts is None:  # the inventory was not read
        names = [f"{workload}-{index}" for index in range(count)]
        return [Machine(each, each, Unknown("string")) for each in names]
    bound = _bound(binding, hosts, site, workload)
    if len(bound) != count:
        what = f"stable.{workload} has {count} machines, and site {name} binds {len(bound)}: {', '.join(bound)}"
        source = site.at.of("spec", "stable", "bind", workload)
        raise Unbound(Diagnostic(source, what, f"the count is at {counted}; make them equal"))
    return [Machine(each, each, str(hosts[each].get("address", each))) for each in bound]


def _bound(
    binding: Binding, hosts: Mapping[str, Mapping[str, Any]], site: Written[Site], workload: str
) -> Sequence[str]:
    if binding.group is not None:
        found = [name for name, host in hosts.items() if binding.group in host.get("groups", ())]
        if not found:
            groups = sorted({group for host in hosts.values() for group in host.get("groups", ())})
            what = f"no host of the inventory is in the group `{binding.group}`"
            hint = did_you_mean(binding.group, groups) or one_of(groups, none="it has no groups")
            raise Unbound(Diagnostic(site.at.of("spec", "stable", "bind", workload, "group"), what, hint))
        return found
    for index, name in enumerate(binding.hosts):
        source = site.at.of("spec", "stable", "bind", workload, "hosts", index)
        if name not in hosts:
            hint = did_you_mean(name, hosts) or one_of(hosts)
            raise Unbound(Diagnostic(source, f"the inventory has no host `{name}`", hint))
        if name in binding.hosts[:index]:
            raise Unbound(Diagnostic(source, f"the host `{name}` is here twice", "name each host once"))
    return binding.hosts


def _short(name: str) -> str:
    """A name that providers take: at most 63 characters, the end of a longer one replaced by its hash."""
    if len(name) <= MAX_NAME:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: MAX_NAME - 9].rstrip('-')}-{mark}"
