"""The lab's Kubernetes control plane: started, watched over and ended; real but for the node, which kwok simulates.

`up` starts what does not run and leaves alone what does, so that it also mends. All of it listens on loopback only;
etcd and API server ask for certificates and tokens, and only the folder `cluster` of the lab's home holds its data.
"""

from __future__ import annotations

import contextlib
import random
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from orchestrator.errors import LabError
from orchestrator.lab import pki
from orchestrator.lab.api import Api
from orchestrator.lab.home import MARK_VARIABLE, Home, read_json, write_json
from orchestrator.lab.members import API_SERVER, CONTROLLERS, MEMBERS, PORTS, STORE, USERS, Layout
from orchestrator.lab.processes import Process, start_daemon, stop, tail, trim, with_environment

_MEMBER_VARIABLE = "ORCHESTRATOR_LAB_MEMBER"
READY_TIMEOUT_S = 120.0
_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")

Report = Callable[[str], None]
MemberState = Literal["running", "stopped", "dead"]


@dataclass(slots=True)
class Record:
    """What is remembered of a control plane: its ports, tokens and processes."""

    ports: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    members: dict[str, Process] = field(default_factory=dict)

    @classmethod
    def read(cls, home: Home) -> Record:
        """An empty one when there is none."""
        try:
            data = read_json(home.cluster / "members.json")
        except FileNotFoundError:
            return cls()
        members = {name: Process.from_data(process) for name, process in data["members"].items()}
        return cls(dict(data["ports"]), dict(data["tokens"]), members)

    def write(self, home: Home) -> None:
        members = {name: process.as_data() for name, process in self.members.items()}
        data: dict[str, Any] = {"ports": self.ports, "tokens": self.tokens, "members": members}
        write_json(home.cluster / "members.json", data)

    def state(self, member: str) -> MemberState:
        """running; stopped: never started, or the computer was since; dead: it ended by itself or was killed."""
        process = self.members.get(member)
        if process is None or not process.of_this_boot():
            return "stopped"
        return "running" if process.alive() else "dead"


def kubeconfig(home: Home) -> Path | None:
    """The kubeconfig of the lab's control plane, or None when its API server does not run."""
    record = Record.read(home)
    path = Layout(home.cluster, record.ports).kubeconfig("admin")
    return path if record.state(API_SERVER) == "running" and path.is_file() else None


def status(home: Home) -> list[tuple[str, int | None, MemberState]]:
    """Each member with its process id (None unless it runs) and state."""
    record = Record.read(home)
    for member in MEMBERS:
        trim(Layout(home.cluster, record.ports).log(member))
    states = {member: record.state(member) for member in MEMBERS}
    return [(name, record.members[name].pid if state == "running" else None, state) for name, state in states.items()]


def up(home: Home, programs: Mapping[str, Path], report: Report) -> Path:
    """Starts what does not run and waits until all is ready -> the kubeconfig. Raises LabError.

    The home is to be locked by the caller.
    """
    record = Record.read(home)
    layout = _prepare(home, record)
    watched: dict[str, subprocess.Popen[bytes]] = {}

    def start(*members: str) -> None:
        missing = [member for member in members if record.state(member) != "running"]
        for member in missing:
            log = layout.log(member)
            marks = {MARK_VARIABLE: home.id(), _MEMBER_VARIABLE: home.id()}
            environment = {"PATH": "/usr/bin:/bin", "HOME": str(layout.folder), **marks}
            argv = layout.argv(member, programs[member])
            record.members[member], watched[member] = start_daemon(argv, log, env=environment, cwd=layout.folder)
            record.write(home)
        if missing:
            report(f"started {', '.join(missing)}")

    api = Api(layout.ports[API_SERVER], layout.ca, record.tokens["admin"])
    start(STORE, API_SERVER)
    _wait("the API server", api.ready, record, layout, watched)
    start(*CONTROLLERS)
    _wait("the node", lambda: _make_node(api, layout), record, layout, watched)
    _wait("the namespaces", lambda: _settled(api), record, layout, watched)
    _wait("the node", lambda: _node_ready(api, layout), record, layout, watched)
    return layout.kubeconfig("admin")


def down(home: Home) -> None:
    """Ends whatever bears the lab's mark, machines included; all files stay. Raises LabError."""
    record = Record.read(home)
    left = stop(record.members.values(), grace=0)
    left += stop(with_environment(MARK_VARIABLE, home.id()), grace=0)
    if left:
        raise LabError(
            f"process {left[0].pid} of the lab cannot be ended", hint="it hangs in the kernel; try again later"
        )


def _prepare(home: Home, record: Record) -> Layout:
    """Folders, ports, keys and kubeconfigs; what is there already stays as it is."""
    for folder in (home.cluster, home.cluster / "pki", home.cluster / "logs", home.cluster / "data"):
        folder.mkdir(mode=0o700, exist_ok=True)
    running = [member for member in MEMBERS if record.state(member) == "running"]
    # One that was started by an `up` that was killed before it could note so.
    known = record.members.values()
    stop([process for process in with_environment(_MEMBER_VARIABLE, home.id()) if process not in known], grace=0)
    ports_of = {STORE: ("etcd", "etcd-peer"), API_SERVER: (API_SERVER,)}
    needed = [port for member, names in ports_of.items() if member not in running for port in names]
    if any(name not in record.ports or not _is_free(record.ports[name]) for name in needed):
        stop([record.members[member] for member in running], grace=0)  # they know the old ports
        record.ports = free_ports(PORTS)
    for user in USERS:
        record.tokens.setdefault(user, secrets.token_urlsafe(32))
    layout = Layout(home.cluster, record.ports)
    record.write(home)
    if not layout.ca.exists():
        pki.make(layout.ca.parent)
    _write_private(
        layout.tokens,
        "".join(f'{record.tokens[name]},{user},{name},"{group}"\n' for name, (user, group) in USERS.items()),
    )
    for user in USERS:
        _write_private(layout.kubeconfig(user), kubeconfig_text(layout, record.tokens[user]))
    return layout


def kubeconfig_text(layout: Layout, token: str) -> str:
    """A kubeconfig that needs no other file."""
    import base64

    import yaml

    name = "orchestrator-lab"
    cluster = {
        "server": f"https://127.0.0.1:{layout.ports[API_SERVER]}",
        "certificate-authority-data": base64.b64encode(layout.ca.read_bytes()).decode(),
    }
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        },
        sort_keys=False,
    )


def _write_private(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    path.touch(mode=0o600)
    path.write_text(text)


def free_ports(names: tuple[str, ...]) -> dict[str, int]:
    """A free loopback port for each name, below the range from which outgoing connections take theirs."""
    found: dict[str, int] = {}
    while len(found) < len(names):
        port = random.randint(20000, 32000)  # noqa: S311 - not a secret, only not everybody's first choice
        if port not in found.values() and _is_free(port):
            found[names[len(found)]] = port
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _wait(
    what: str,
    done: Callable[[], bool],
    record: Record,
    layout: Layout,
    watched: Mapping[str, subprocess.Popen[bytes]],
) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not done():
        for member, popen in watched.items():
            if popen.poll() is not None:
                log = layout.log(member)
                raise LabError(
                    f"{member} ended with exit code {popen.returncode}:\n{tail(log)}", hint=f"its log: {log}"
                )
        if time.monotonic() > deadline:
            raise LabError(
                f"{what} was not ready within {READY_TIMEOUT_S:.0f} s",
                hint=f"the logs are in {layout.folder / 'logs'}; `orchestrator lab up` tries again",
            )
        time.sleep(0.05)


def _make_node(api: Api, layout: Layout) -> bool:
    """The one node: simulated, with room for everything."""
    resources = {"cpu": "256", "memory": "1Ti", "ephemeral-storage": "10Ti", "pods": "20000"}
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": layout.node,
            "labels": {
                "kubernetes.io/hostname": layout.node,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "node.kubernetes.io/instance-type": "orchestrator-lab",
                "type": "kwok",
            },
            "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
        },
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": layout.node}],
            "nodeInfo": dict.fromkeys(
                ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion"), "lab"
            )
            | {"kubeletVersion": "lab", "kubeProxyVersion": "", "operatingSystem": "linux", "architecture": "amd64"},
        },
    }
    with contextlib.suppress(OSError):
        return api.call("POST", "/api/v1/nodes", node)[0] in (201, 409)
    return False


def _settled(api: Api) -> bool:
    return all(api.has(f"/api/v1/namespaces/{name}/serviceaccounts/default") for name in _NAMESPACES)


def _node_ready(api: Api, layout: Layout) -> bool:
    try:
        code, node = api.call("GET", f"/api/v1/nodes/{layout.node}")
    except OSError:
        return False
    if code != 200:
        return False
    conditions = {item["type"]: item["status"] for item in node.get("status", {}).get("conditions", [])}
    return conditions.get("Ready") == "True" and not node["spec"].get("taints")
