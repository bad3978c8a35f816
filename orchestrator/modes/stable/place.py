"""One site's hosts: which there are, how they are asked, and who works on which."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from orchestrator.model.observation import Unreachable
from orchestrator.modes.stable.inventory import text_for
from orchestrator.modes.stable.playbooks.runs import Runs
from orchestrator.modes.stable.reach.reaching import Hosts, Reach
from orchestrator.modes.stable.site import StableSite

Answer: TypeAlias = dict[str, Any] | Unreachable


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that a provider has made: where it is, and Ansible's variables for it."""

    name: str
    workload: str
    address: str
    vars: Mapping[str, Any]

    @property
    def facts(self) -> dict[str, Any]:
        """What outputs may refer to and records keep."""
        return {"address": self.address, "vars": dict(self.vars)}

    @classmethod
    def of(cls, name: str, workload: str, facts: Mapping[str, Any]) -> Machine:
        """The machine that `facts` describe."""
        return cls(name, workload, str(facts.get("address", "")), dict(facts.get("vars") or {}))


class Place:
    """What all parts of one site's driver share; used from several threads."""

    def __init__(self, site: StableSite, reach: Reach) -> None:
        self.site = site
        self.provider = site.provider
        self.runs = Runs(site.root, site.scratch, site.scrub, site.vaults)
        self.machines: dict[str, Machine] = {}
        self.answered: set[str] = set()
        self.requests = 0
        self.must_ask = site.refresh
        self._reach = reach
        self._listed: dict[str, dict[str, Any]] | None = None
        self._lock = threading.Lock()
        self._hosts: dict[str, threading.Lock] = {}

    @property
    def inventory(self) -> Path | None:
        """The inventory that people have written; None where a provider makes the machines."""
        return None if self.provider.provisions else self.site.inventory

    def inventory_text(self) -> str:
        """The inventory of the machines that there are, each in the group of its workload."""
        groups: dict[str, list[str]] = {}
        for machine in self.machines.values():
            groups.setdefault(machine.workload, []).append(machine.name)
        return text_for({name: machine.vars for name, machine in self.machines.items()}, groups)

    def limit_to(self, hosts: Iterable[str]) -> tuple[str, ...]:
        """What a run for these hosts is limited to: plays for the implicit localhost run too."""
        implicit = () if "localhost" in self.listed() else ("localhost",)
        return (*hosts, *implicit)

    def address_of(self, host: str) -> str:
        """Where a host's ports are. Raises DriverError where the inventory cannot be read."""
        if self.provider.provisions:
            return self.machines[host].address if host in self.machines else host
        return str(self.listed().get(host, {}).get("address", host))

    def listed(self) -> dict[str, dict[str, Any]]:
        """The hosts of the inventory that people have written; read once."""
        if self.inventory is None:
            return {}
        with self._lock:
            if self._listed is None:
                self._listed = self._reach.inventory(self.inventory, self.site.vaults)
            return self._listed

    def ask(self, asks: Mapping[str, Mapping[str, Any]], *, fresh: bool = False) -> dict[str, Answer]:
        """Ask hosts by inventory name, all at once. Raises DriverError where none can be asked at all."""
        if not asks:
            return {}
        machines = {name: machine.vars for name, machine in dict(self.machines).items()}
        hosts = Hosts(self.inventory, machines, self.provider.plugins, self.site.vaults)
        full = {name: {**ask, "estate": self.site.estate_id} for name, ask in asks.items()}
        answers = self._reach.probe(hosts, full, fresh=fresh)
        with self._lock:
            self.requests += len(asks)
            for name, answer in answers.items():
                (self.answered.discard if isinstance(answer, Unreachable) else self.answered.add)(name)
        return answers

    @contextmanager
    def held(self, hosts: Iterable[str]) -> Iterator[None]:
        """Nobody else in this process works on these hosts until the block ends."""
        with self._lock:
            locks = [self._hosts.setdefault(name, threading.Lock()) for name in sorted(set(hosts))]
        with ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            yield
