"""Runs of a provider's playbooks: one for all machines that are asked for, and what became of each machine."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import ToolchainError
from orchestrator.model.unit import Stamp
from orchestrator.modes.stable.place import Place
from orchestrator.modes.stable.playbooks.runs import Playbook, Ran, Watch

ESTATE_TAG, ADDRESS_TAG, STAMP_TAG = (f"orchestrator.dev/{name}" for name in ("estate", "address", "stamp"))
RUNNING = "running"
CONTROLLER = "localhost"
# How long a call waits for others that come side by side; next to the start of Ansible it is nothing.
GATHER_S = 0.1


@dataclass(frozen=True, slots=True)
class Told:
    """One machine as its provider tells it.

    stamp  None where its tags are not ours to read
    spec   what it has, as far as the provider can say: `cpu` (a number), `memory` and `disk` (sizes, or bytes)
    """

    name: str
    address: str
    state: str
    vars: Mapping[str, Any]
    stamp: Stamp | None
    spec: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Told:
        """From what a playbook gave by set_stats. Raises KeyError or TypeError where it is no machine."""
        tags = data.get("tags") or {}
        try:
            stamp = Stamp.from_data(json.loads(tags[STAMP_TAG]))
        except (KeyError, ValueError, TypeError):
            stamp = None
        state, variables = str(data.get("state") or RUNNING), dict(data.get("vars") or {})
        has = dict(data.get("spec") or {})
        return cls(str(data["name"]), str(data.get("address") or ""), state, variables, stamp, has)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider's run has told.

    machines  by name
    failures  why it went wrong for a machine, and in which task
    why       why it went wrong for all of them; "" where it did not
    consoles  what machines have printed on their console
    """

    machines: Mapping[str, Told] = field(default_factory=dict)
    failures: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    why: str = ""
    task: str = ""
    log: str = ""
    consoles: Mapping[str, str] = field(default_factory=dict)

    def failure(self, name: str) -> tuple[str, str]:
        """Why it went wrong for a machine, and in which task; ("", "") where it did not."""
        return self.failures.get(name) or (self.why, self.task)


@dataclass(frozen=True, slots=True)
class _Needs:
    """The Python in which a provider's modules run, and where its collections are."""

    python: str
    collections: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Asked:
    """One caller of a run that several share."""

    machines: Sequence[Mapping[str, Any]]
    watch: Watch
    answer: Future[Answer]


class ProviderRuns:
    """One site's calls of its provider. Calls that come side by side, from several workloads, share one run."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._had: _Needs | None = None
        self._turns: dict[tuple[str, str], threading.Lock] = {}
        self._waiting: dict[tuple[str, str], list[_Asked]] = {}

    def can(self, *verbs: str) -> bool:
        """Whether the provider has all these playbooks."""
        return all(self._place.provider.playbook(verb) is not None for verb in verbs)

    def run(
        self,
        verb: str,
        machines: Sequence[Mapping[str, Any]] = (),
        watch: Watch = lambda host, task: None,
        snapshot: str = "",
    ) -> Answer:
        """Run one of the provider's playbooks for machines ({"name", ...}); what goes wrong is in the answer."""
        asked, key = _Asked(machines, watch, Future()), (verb, snapshot)
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())
            self._waiting.setdefault(key, []).append(asked)
        with turn:
            if not asked.answer.done():
                time.sleep(GATHER_S)
                with self._lock:
                    together, self._waiting[key] = self._waiting[key], []
                self._share(verb, snapshot, together)
        return asked.answer.result()

    def _needs(self) -> _Needs:
        """What the playbooks need beside Ansible, had when first asked for. Raises ToolchainError."""
        if self._had is None:
            from orchestrator.toolchain import provider_needs  # only where a provider is asked

            place, folder = self._place, self._place.provider.folder
            packages, collections = folder / "requirements.txt", folder / "requirements.yml"
            python = sys.executable
            if packages.is_file():
                python = str(provider_needs.python_with(packages, place.site.say))
            found: tuple[Path, ...] = ()
            if collections.is_file():
                found = (provider_needs.collections_of(collections, place.site.root, place.site.say),)
            self._had = _Needs(python, found)
        return self._had

    def _share(self, verb: str, snapshot: str, together: Sequence[_Asked]) -> None:
        machines = [machine for one in together for machine in one.machines]

        def watch(host: str, task: str) -> None:
            for one in together:
                one.watch(host, task)

        try:
            answer = self._run(verb, machines, snapshot, watch)
        except BaseException as error:
            for one in together:
                one.answer.set_exception(error)
            raise
        for one in together:
            one.answer.set_result(answer)

    def _run(self, verb: str, machines: Sequence[Mapping[str, Any]], snapshot: str, watch: Watch) -> Answer:
        place, names = self._place, [str(machine["name"]) for machine in machines]
        try:
            needs = self._needs()
        except ToolchainError as error:
            return Answer(why=f"provider {place.provider.name}: {error.message}; {error.hint}")
        variables: dict[str, Any] = {
            "orchestrator_site": place.site.site,
            "orchestrator_estate": place.site.estate_id,
            "orchestrator_python": sys.executable,
            "orchestrator_machines": [dict(machine) for machine in machines],
            "orchestrator_snapshot": snapshot,
            "orchestrator_settings": dict(place.site.settings),
        }
        group = place.provider.hosts
        hosts = place.site.settings.get(group)
        own = hosts if isinstance(hosts, Mapping) else {}
        playbook = Playbook(
            cwd=place.provider.folder,
            path=place.provider.playbook(verb),
            hosts=_inventory(names, needs.python, {group: own} if group else {}),
            collections=needs.collections,
            limit=(*names, *own, CONTROLLER),
            vars=variables,
            causes=True,
        )
        return _answer(place, verb, place.runs.run(playbook, watch))


def _inventory(names: Sequence[str], python: str, groups: Mapping[str, Mapping[str, Any]]) -> str:
    """The controller, and in the group `machines` a host for each machine: what fails for one stops no other.

    `groups` are the provider's own hosts, with Ansible's variables.
    """
    here = {"ansible_connection": "local", "ansible_python_interpreter": python}
    own = "{{ orchestrator_machines | selectattr('name', 'eq', inventory_hostname) | first }}"
    machines = {name: {**here, "orchestrator_machine": own} for name in names}
    children = {group: {"hosts": {name: had or {} for name, had in hosts.items()}} for group, hosts in groups.items()}
    return json.dumps({"all": {"hosts": {CONTROLLER: here}, "children": {**children, "machines": {"hosts": machines}}}})


def _answer(place: Place, verb: str, ran: Ran) -> Answer:
    ended_badly = ran.failed | ran.unreachable
    failures = {name: (one.message, one.task) for name, one in ran.failures.items() if name in ended_badly}
    why, task = failures.pop(CONTROLLER, ("", ""))
    if not ran.ended:
        why = why or ran.complaint or "the provider's playbook failed"
    if not ran.ended or why:
        return Answer(failures=failures, why=_sentence(why, task), task=task, log=ran.log())
    try:
        told = [Told.of(one) for one in ran.data.get("machines") or ()]
        consoles = {str(name): str(text) for name, text in dict(ran.data.get("consoles") or {}).items()}
    except (KeyError, TypeError, AttributeError, ValueError):
        why = f"provider {place.provider.name}: {verb}.yml gives no list of machines with names"
        return Answer(failures=failures, why=why, log=ran.log())
    named = {name: (_sentence(*failure), failure[1]) for name, failure in failures.items()}
    return Answer({one.name: one for one in told}, named, log=ran.log(), consoles=consoles)


def _sentence(message: str, task: str) -> str:
    return f"{task}: {message}" if task else message
