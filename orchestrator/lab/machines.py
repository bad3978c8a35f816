"""Lab machines for a machine provider: `python -m orchestrator.lab.machines VERB`, JSON in and out.

    observe          {}                                             -> {"machines": [MACHINE, ...]}
    ensure           {"machines": [{"name", "spec", "tags", "adopt"}, ...]}
                                                                    -> {"machines": [MACHINE + "changed", ...]}
    remove           {"names": [str, ...]}                          -> {"removed": [str, ...]}
    snapshot         {"names": [str, ...], "snapshot": str}         -> {"changed": [str, ...]}
    restore          {"names": [str, ...], "snapshot": str}         -> {"machines": [MACHINE, ...]}
    snapshot_delete  {"names": [str, ...], "snapshot": str}         -> {"changed": [str, ...]}
    console          {"names": [str, ...]}                          -> {"consoles": {name: text}}

MACHINE is {"name", "address", "state", "spec", "tags", "vars"}; `state` is running, stopped or dead; `vars` are for an
Ansible inventory (with ANSIBLE_CONNECTION_PLUGINS naming `connection_plugins` of this package). `ensure` makes what is
missing and starts what does not run, on the disk it had; it waits until commands can be run. `spec` (cpu, memory, disk,
image, labels, ...) is recorded, not enforced: a sandbox has the computer's processors, memory, /usr and network.

The lab is the one in ORCHESTRATOR_LAB_HOME, or the user's. An error is one line on stderr, exit code 1.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.errors import LabError, OrchestratorError
from orchestrator.lab import machine as one
from orchestrator.lab import sandbox, snapshots
from orchestrator.lab.home import Home, default_home
from orchestrator.lab.machine import Machine
from orchestrator.lab.processes import tail

CONNECTION_PLUGINS = Path(__file__).with_name("connection_plugins")

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PARALLEL = 8
_ESTATE_TAG = "orchestrator.dev/estate"


def observe(home: Home) -> list[Machine]:
    """All machines of the lab, by name; none when there is no lab."""
    try:
        folders = sorted(home.machines.iterdir())
    except FileNotFoundError:
        return []
    found = []
    for folder in folders:
        try:
            found.append(Machine.read(folder))
        except (FileNotFoundError, NotADirectoryError):
            continue  # being made or removed just now
    return found


def ensure(home: Home, wanted: Sequence[Mapping[str, Any]]) -> list[tuple[Machine, bool]]:
    """Machines that run, as wanted ({"name", "spec", "tags"}), each with whether it was changed. Raises LabError."""
    for item in wanted:
        if not isinstance(item.get("name"), str) or not _NAME.fullmatch(item["name"]):
            raise LabError(
                f"machine {item.get('name')!r}: is no name for a machine", hint="1 to 63 of a-z 0-9 -, not - at an end"
            )
    if not wanted:
        return []
    with home.locked():
        known = {machine.name: machine for machine in observe(home)}
        taken = {machine.address for machine in known.values()}
        planned = []
        for item in wanted:
            machine = known.get(item["name"])
            if machine is not None and _is_others(machine, item):
                raise LabError(f"machine {machine.name}: is there, and is not ours", hint="orchestrator adopt ADDRESS")
            if machine is None:
                machine = one.create(home, item["name"], free_address(home, item["name"], taken), _tags(item))
                taken.add(machine.address)
            planned.append((machine, item))
        if any(machine.state() != "running" for machine, _ in planned):
            sandbox.choose()  # once, before many ask at the same time
        with ThreadPoolExecutor(_PARALLEL) as pool:
            return list(pool.map(lambda pair: _bring_up(home, *pair), planned))


def _is_others(machine: Machine, item: Mapping[str, Any]) -> bool:
    """Whether a machine belongs to nobody, or to another estate, and is not to be taken over."""
    wanted = (item.get("tags") or {}).get(_ESTATE_TAG)
    return wanted is not None and not item.get("adopt") and machine.tags.get(_ESTATE_TAG) != wanted


def _tags(item: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in (item.get("tags") or {}).items()}


def _bring_up(home: Home, machine: Machine, item: Mapping[str, Any]) -> tuple[Machine, bool]:
    described = replace(machine, spec=dict(item.get("spec") or {}), tags=_tags(item))
    if machine.state() != "running":
        return one.start(home, described, sandbox.choose()), True
    if described != machine:
        described.write(home.machine(machine.name))
    return described, described != machine


def restart(home: Home) -> list[Machine]:
    """Starts the machines that do not run -> those. Raises LabError."""
    with home.locked(make=False) as there:
        down = [machine for machine in observe(home) if machine.state() != "running"] if there else []
        if down:
            sandbox.choose()
        with ThreadPoolExecutor(_PARALLEL) as pool:
            return list(pool.map(lambda machine: one.start(home, machine, sandbox.choose()), down))


def remove(home: Home, names: Iterable[str]) -> list[str]:
    """Ends and removes machines -> the names that were there. Raises LabError."""
    with home.locked(make=False) as there:
        known = {machine.name for machine in observe(home)} if there else set()
        wanted = [name for name in dict.fromkeys(names) if name in known]
        for name in wanted:
            one.delete(home, name)
    return wanted


def find(home: Home, short: str) -> Machine:
    """A machine by its name, or by a beginning or end of it that no other has. Raises LabError."""
    machines = {machine.name: machine for machine in observe(home)}
    if short in machines:
        return machines[short]
    fitting = [name for name in machines if name.startswith(short) or name.endswith(short)]
    if len(fitting) == 1:
        return machines[fitting[0]]
    if fitting:
        raise LabError(f"machine {short}: could be {', '.join(fitting)}", hint="give more of the name")
    there = (
        f"there are {', '.join(machines)}"
        if machines
        else "there are none; an apply to a site with `provider: lab` makes them"
    )
    raise LabError(f"there is no machine {short} in the lab", hint=there)


def free_address(home: Home, name: str, taken: Iterable[str]) -> str:
    """A loopback address of its own: the same each time for a home and a name, unless taken or listened on."""
    used = set(taken) | _listened_on()
    attempt = 0
    while True:
        digest = hashlib.sha256(f"{home.path}\0{name}\0{attempt}".encode()).digest()
        address = f"127.{16 + digest[0] % 224}.{digest[1]}.{1 + digest[2] % 254}"
        if address not in used:
            return address
        attempt += 1


def _listened_on() -> set[str]:
    """IPv4 addresses that some process on this computer listens on: another lab's machines, for one."""
    found: set[str] = set()
    try:
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    except OSError:
        return found
    for line in lines:
        fields = line.split()
        if fields[3] == "0A":
            raw = bytes.fromhex(fields[1].split(":")[0])
            octets = reversed(raw) if sys.byteorder == "little" else raw
            found.add(".".join(str(octet) for octet in octets))
    return found


def _observe(home: Home, request: Mapping[str, Any]) -> dict[str, Any]:
    return {"machines": [machine.as_data(home) for machine in observe(home)]}


def _ensure(home: Home, request: Mapping[str, Any]) -> dict[str, Any]:
    done = ensure(home, request.get("machines") or [])
    return {"machines": [{**machine.as_data(home), "changed": changed} for machine, changed in done]}


def _remove(home: Home, request: Mapping[str, Any]) -> dict[str, Any]:
    return {"removed": remove(home, request.get("names") or [])}


def _snapshot(home: Home, request: Mapping[str, Any]) -> dict[str, Any]:
    with home.locked(make=False):
        return {"changed": [m.name for m in _named(home, request) if snapshots.take(home, m, str(request["snapshot"]))]}


def _restore(home: Home, request: Mapping[str, Any]) -> dict[str, Any]:
    with home.locked(make=False):
        restored = [snapshots.restore(home, m, str(request["snapshot"])) for m in _named(home, request)]
    return {"machines": [machine.as_data(home) for machine in restored]}


def _snapshot_delete(home: Home, request: Mapping[str, Any]) -> dict[str, Any]:
    with home.locked(make=False):
        return {"changed": [m.name for m in _named(home, request) if snapshots.drop(home, m, str(request["snapshot"]))]}


def _console(home: Home, request: Mapping[str, Any]) -> dict[str, Any]:
    return {"consoles": {name: tail(home.machine(name) / "log") for name in request.get("names") or []}}


def _named(home: Home, request: Mapping[str, Any]) -> list[Machine]:
    """The machines that a request names. Raises LabError where one is not there."""
    known = {machine.name: machine for machine in observe(home)}
    names = [str(name) for name in request.get("names") or []]
    for name in names:
        if name not in known:
            raise LabError(f"there is no machine {name} in the lab")
    return [known[name] for name in names]


_VERBS: Mapping[str, Callable[[Home, Mapping[str, Any]], dict[str, Any]]] = {
    "observe": _observe,
    "ensure": _ensure,
    "remove": _remove,
    "snapshot": _snapshot,
    "restore": _restore,
    "snapshot_delete": _snapshot_delete,
    "console": _console,
}


def main(arguments: Sequence[str]) -> int:
    """The entry for providers; see the module's docstring."""
    if len(arguments) != 1 or arguments[0] not in _VERBS:
        print(f"usage: python -m orchestrator.lab.machines {'|'.join(_VERBS)} < request.json", file=sys.stderr)
        return 64
    try:
        request = json.loads(sys.stdin.read() or "{}")
        if not isinstance(request, dict):
            raise ValueError("not an object")
        answer = _VERBS[arguments[0]](Home(default_home()), request)
    except ValueError as error:
        print(f"lab machines: the request on stdin is not a JSON object: {error}", file=sys.stderr)
        return 1
    except OrchestratorError as error:
        print(f"lab machines: {error}", file=sys.stderr)
        return 1
    json.dump(answer, sys.stdout)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
