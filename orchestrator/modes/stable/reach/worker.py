"""The process that speaks Ansible's connection plugins for us: reads inventories and sends the probe to hosts.

`python -m orchestrator.modes.stable.reach.worker` imports Ansible's library, which is slow to import and not made for
our own process. Requests come as JSON lines on stdin, answers leave as JSON lines on stdout, in any order:

    {"id", "op": "inventory", "path", "vaults"} -> {"id", "hosts": {name: {"address", "groups"}}} or {"id", "error"}
    {"id", "op": "probe", "ask", "host", "inventory" and "vaults", or "vars", "plugins", "fresh", "timeout"}
                                        -> {"id", "answer"} or {"id", "unreachable"} or {"id", "error"}

`ask` is what the probe is asked; `inventory` is the path of the inventory that has the host; `vars` are the host's
variables where there is no inventory, `plugins` folders with connection plugins for them; `fresh` asks for a connection
of its own instead of a shared one. The process ends with its stdin, whatever it is doing.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret, get_file_vault_secret
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import become_loader, connection_loader, init_plugin_loader
from ansible.template import Templar
from ansible.utils.display import Display
from ansible.vars.manager import VariableManager

from orchestrator.modes.stable.playbooks.advice import AROUND
from orchestrator.modes.stable.probe import program, serving
from orchestrator.modes.stable.reach import direct

# The host variable that moves the stamps of a host to another folder than /var/lib/orchestrator.
STATE_FOLDER = "orchestrator_state_folder"
# The host variable that says whether the probe may go without Ansible's ssh plugin; it may.
DIRECT = "orchestrator_direct_ssh"
MOST_AT_ONCE = 64
NO_PROGRAM = 127  # a shell's exit code
FIND_PYTHON = '"$(command -v /usr/bin/python3 || command -v python3 || echo /usr/libexec/platform-python)"'
# A shared connection whose link was cut would hang for minutes.
ALIVE = "-o ServerAliveInterval=5 -o ServerAliveCountMax=2"
UNSHARED = "-o ControlMaster=no -o ControlPath=none"


class Inventory:
    """One inventory, read once; Ansible's objects are not made for threads, hence the lock."""

    lock = threading.Lock()

    def __init__(self, path: str, vaults: Mapping[str, str]) -> None:
        with Inventory.lock:
            self.loader = _loader(vaults)
            try:
                self.manager = InventoryManager(loader=self.loader, sources=[path])
            except AnsibleError:
                if path.endswith((".yml", ".yaml", ".json")):
                    self.loader.load_from_file(path)  # this one says where
                raise
            self.variables = VariableManager(loader=self.loader, inventory=self.manager)

    def hosts(self) -> dict[str, dict[str, Any]]:
        """All hosts in inventory order, each with its address and groups."""
        found = {}
        with Inventory.lock:
            for host in self.manager.get_hosts("all"):
                # An address that is a template needs the host's variables; others are taken as they are.
                address = host.get_vars().get("ansible_host", host.name)
                if "{" in str(address):
                    variables = self.variables.get_vars(host=host)
                    address = Templar(loader=self.loader, variables=variables).template(variables["ansible_host"])
                found[str(host.name)] = {"address": str(address), "groups": sorted({str(g) for g in host.groups})}
        return found

    def vars_of(self, name: str) -> dict[str, Any]:
        """A host's variables. Raises AnsibleError where it is not in the inventory."""
        host = self.manager.get_host(name)
        if host is None:
            raise AnsibleError(f"{name} is not in the inventory")
        found: dict[str, Any] = self.variables.get_vars(host=host)
        return found


def _loader(vaults: Mapping[str, str]) -> Any:
    """A loader that knows these vault passwords, and those which Ansible's own settings name."""
    loader = DataLoader()
    default = constants.DEFAULT_VAULT_IDENTITY
    secrets = [(label or default, VaultSecret(password.encode())) for label, password in vaults.items()]
    named = [slug.rpartition("@")[::2] for slug in constants.DEFAULT_VAULT_IDENTITY_LIST or ()]
    if constants.DEFAULT_VAULT_PASSWORD_FILE:
        named.append(("", constants.DEFAULT_VAULT_PASSWORD_FILE))
    for label, path in named:
        if path.startswith("prompt"):  # nobody is there to be asked
            continue
        secret = get_file_vault_secret(filename=path, vault_id=label or default, loader=loader)
        secret.load()
        secrets.append((label or default, secret))
    loader.set_vault_secrets(secrets)
    return loader


class Worker:
    """Answers requests side by side, each in a thread that is given up when its time is over."""

    def __init__(self, answers: Any) -> None:
        self.answers = answers
        self.writing = threading.Lock()
        self.slots = threading.Semaphore(MOST_AT_ONCE)
        self.inventories: dict[str, Inventory] = {}
        self.reading = threading.Lock()
        self.direct = direct.Direct()

    def serve(self, requests: Any) -> None:
        """Until the requests end."""
        for line in requests:
            request = json.loads(line)
            self.slots.acquire()
            threading.Thread(target=self._handle, args=(request,), daemon=True).start()

    def _handle(self, request: Mapping[str, Any]) -> None:
        label = [str(request.get("host"))]
        box: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: box.append(self._answer(request, label)), daemon=True)
        thread.start()
        thread.join(request.get("timeout"))
        late = f"{label[0]}: timed out after {request.get('timeout') or 0:g} s"
        answer = box[0] if box else {"unreachable": late}
        self.slots.release()
        with self.writing:
            self.answers.write(json.dumps({"id": request["id"], **answer}) + "\n")
            self.answers.flush()

    def _answer(self, request: Mapping[str, Any], label: list[str]) -> dict[str, Any]:
        """The answer; `label` is told how the host is named in messages as soon as that is known."""
        try:
            if request["op"] == "inventory":
                return {"hosts": self._inventory(request["path"], request["vaults"], again=True).hosts()}
            return self._probe(request, label)
        except AnsibleError as error:
            return {"error": _sentence(error)}
        except Exception as error:  # noqa: BLE001 - a plugin's fault must not end the other hosts' probes
            return {"error": f"{type(error).__name__}: {error}"}

    def _inventory(self, path: str, vaults: Mapping[str, str], *, again: bool = False) -> Inventory:
        key = json.dumps([path, vaults], sort_keys=True)
        with self.reading:
            if again or key not in self.inventories:
                self.inventories[key] = Inventory(path, vaults)
            return self.inventories[key]

    def _probe(self, request: Mapping[str, Any], label: list[str]) -> dict[str, Any]:
        with Inventory.lock:
            for folder in request["plugins"]:
                connection_loader.add_directory(folder)
        inventory = self._inventory(request["inventory"], request["vaults"]) if request.get("inventory") else None
        with Inventory.lock:
            loader = inventory.loader if inventory else DataLoader()
            given = inventory.vars_of(request["host"]) if inventory else dict(request["vars"])
            variables = {"inventory_hostname": request["host"], "ansible_host": request["host"], **given}
            templar = Templar(loader=loader, variables=variables)
            connection = _connection(variables, templar, request)
            label[0] = _label(connection, label[0])
            command = _command(connection, variables, templar)
            ask = {**request["ask"], "folder": templar.template(variables.get(STATE_FOLDER))}
            settings = direct.settings_of(connection) if _truth(templar, variables, DIRECT, True) else None
        if settings is not None:
            password, become = connection.get_option("password"), connection.become
            name = command.replace(become.success, "") if become and become.success else command
            asked = direct.Probe(settings, password, become, command, name, ask, bool(request["fresh"]))
            with contextlib.suppress(direct.NotHere):
                return self._directly(asked, connection, request["timeout"])
        return _send(connection, command, program.stdin(ask), request["timeout"])

    def _directly(self, asked: direct.Probe, connection: Any, timeout: float) -> dict[str, Any]:
        """The answer over a connection of our own. Raises NotHere where it is for the plugin to try."""
        try:
            said = self.direct.run(asked, timeout)
        except direct.Lost as lost:
            return {"unreachable": f"{_label(connection, connection.transport)}: {lost}"}
        except TimeoutError:
            return {"unreachable": _unreachable(connection, "timed out", timeout)}
        return _answer_in(connection, said.code, said.stdout, said.stderr, timeout)


def _connection(variables: Mapping[str, Any], templar: Any, request: Mapping[str, Any]) -> Any:
    """The host's connection plugin with all its options set, as Ansible's own task executor does it."""
    name = str(templar.template(variables.get("ansible_connection", constants.DEFAULT_TRANSPORT)))
    connection = connection_loader.get("ssh" if name == "smart" else name, PlayContext(), task_uuid="probe")
    if connection is None:
        raise AnsibleError(f"there is no connection plugin `{name}`")
    connection.set_options(var_options=connection._resolve_option_variables(variables, templar))
    _set_options("shell", connection._shell, variables, templar)
    if _truth(templar, variables, "ansible_become", constants.DEFAULT_BECOME):
        method = str(templar.template(variables.get("ansible_become_method", constants.DEFAULT_BECOME_METHOD)))
        become = become_loader.get(method)
        if become is None:
            raise AnsibleError(f"there is no become plugin `{method}`")
        _set_options("become", become, variables, templar)
        connection.set_become_plugin(become)
    if connection.transport == "ssh":
        connection.set_option("timeout", max(1, int(request["timeout"])))
        unshared = f"{UNSHARED} " if request.get("fresh") else ""
        connection.set_option("ssh_args", f"{unshared}{ALIVE} {connection.get_option('ssh_args') or ''}")
    return connection


def _truth(templar: Any, variables: Mapping[str, Any], name: str, default: bool) -> bool:
    return bool(boolean(templar.template(variables.get(name, default)), strict=False))


def _set_options(kind: str, plugin: Any, variables: Mapping[str, Any], templar: Any) -> None:
    names = constants.config.get_plugin_vars(kind, plugin._load_name)
    plugin.set_options(var_options={name: templar.template(variables[name]) for name in names if name in variables})


def _command(connection: Any, variables: Mapping[str, Any], templar: Any) -> str:
    """What runs the program that comes on stdin with the host's Python, as the user that the inventory says."""
    interpreter = str(templar.template(variables.get("ansible_python_interpreter", "auto")))
    python = FIND_PYTHON if interpreter.startswith("auto") else interpreter
    command = f"exec {python} -I -S -c {connection._shell.quote(program.STARTER)}"
    if not connection.has_pipelining:
        raise AnsibleError(f"the connection plugin `{connection.transport}` takes no input; use ssh")
    become = connection.become
    if become is not None and not _same_user(connection, become):
        return str(become.build_become_command(command, connection._shell))
    return f"/bin/sh -c {connection._shell.quote(command)}"


def _same_user(connection: Any, become: Any) -> bool:
    """Ansible does not become the user that it already is."""
    if not connection.has_option("remote_user"):
        return False
    return bool(connection.get_option("remote_user") == become.get_option("become_user"))


def _send(connection: Any, command: str, program: bytes, timeout: float) -> dict[str, Any]:
    try:
        code, stdout, stderr = connection.exec_command(command, in_data=program, sudoable=connection.become is not None)
    except AnsibleError as error:
        return {"unreachable": _unreachable(connection, str(error), timeout)}
    finally:
        connection.close()
    return _answer_in(connection, code, stdout, stderr, timeout)


def _answer_in(connection: Any, code: int, stdout: bytes, stderr: bytes, timeout: float) -> dict[str, Any]:
    """What the probe has answered, or that it did not run."""
    found = re.search(
        re.escape(serving.BEGIN) + "(.*)" + re.escape(serving.END), stdout.decode(errors="replace"), re.DOTALL
    )
    if found:
        told: dict[str, Any] = json.loads(found[1])
        return told
    said = [line for line in (stderr or stdout).decode(errors="replace").splitlines() if line.strip()]
    why = said[-1].strip() if said else f"exit code {code}"
    if code == NO_PROGRAM and "python" in why:
        help_ = "install it, or name another by `ansible_python_interpreter`"
        label = _label(connection, connection.transport)
        return {"unreachable": f"{label}: there is no Python 3 on the host ({why}); {help_}"}
    return {"unreachable": _unreachable(connection, f"the probe did not run: {why}", timeout)}


def _unreachable(connection: Any, text: str, timeout: float) -> str:
    """One line that says who did not answer, and why: `ssh 10.9.1.11:22: timed out after 10 s`."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no answer"]
    if connection.transport != "ssh":
        return lines[0]
    why = re.sub(r"^.*ssh: connect to host \S+ port \d+: ", "", AROUND.sub("", lines[-1])) or "no answer"
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in text:
        known = _label(connection, "").removeprefix("ssh ").removesuffix(":22")
        name = f"'[{known.rpartition(':')[0]}]:{known.rpartition(':')[2]}'" if ":" in known else known
        why = f"its host key has changed; if that is right, remove the old one: ssh-keygen -R {name}"
    if re.search("timed out", why, re.IGNORECASE):
        why = f"timed out after {timeout:g} s"
    return f"{_label(connection, '')}: {why}"


def _label(connection: Any, name: str) -> str:
    if connection.transport != "ssh":
        return name
    return f"ssh {connection.get_option('host')}:{connection.get_option('port') or 22}"


def _sentence(error: AnsibleError) -> str:
    context = str(getattr(error, "_formatted_source_context", None) or "").splitlines()[:1]
    return " ".join(line.strip() for line in [*str(error).splitlines(), *context] if line.strip())


def _end() -> None:
    """End at once, with the connections under way: whoever asked is gone."""
    os.killpg(os.getpgid(0), signal.SIGKILL)


def main() -> None:
    """Serve until stdin ends. What Ansible prints goes nowhere: stdout is for answers."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    init_plugin_loader([])
    Display().verbosity = 0
    Worker(answers).serve(requests)
    _end()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(f"{Path(sys.argv[0]).name} takes no arguments; it is started by orchestrator itself")
    main()
