"""Ansible connection to a machine of orchestrator's lab, through the machine's agent: no sshd, no password, no root.

Ansible finds it by ANSIBLE_CONNECTION_PLUGINS; it needs nothing of orchestrator but `client.py` in the folder above.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_native
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: orchestrator_lab
short_description: run commands in a machine of orchestrator's lab
description:
  - Talks to the agent of a sandboxed machine over its Unix socket. Commands run as the machine's root.
options:
  machine:
    description: the machine's name in the lab
    required: true
    vars: [{name: ansible_orchestrator_lab_machine}]
  home:
    description: the lab's folder
    required: true
    vars: [{name: ansible_orchestrator_lab_home}]
  remote_user:
    description: always root; declared so that C(become) to root is known to be needless
    default: root
    vars: [{name: ansible_user}]
  timeout:
    description: seconds to wait for the machine's agent to start a command
    type: float
    default: 10
    vars: [{name: ansible_orchestrator_lab_timeout}]
    env: [{name: ORCHESTRATOR_LAB_TIMEOUT}]
"""


def _load_client() -> ModuleType:
    name = "orchestrator_lab_client"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "client.py")
        if spec is None or spec.loader is None:
            raise AnsibleError("the lab's client.py is not where it belongs; install orchestrator again")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


class Connection(ConnectionBase):  # type: ignore[misc] # Ansible has no types
    """One machine; every command is a connection of its own to the agent: forks and threads share nothing."""

    transport = "orchestrator_lab"
    has_pipelining = True
    _connected = False

    def _connect(self) -> Connection:
        if not self._connected:
            self.client = _load_client()
            self.folder = Path(self.get_option("home"), "machines", self.get_option("machine"))
            try:
                self.client.ping(self.folder, self.get_option("timeout"))
            except self.client.MachineDownError as error:
                raise self._down(error) from None
            self._connected = True
        return self

    def _down(self, error: Exception) -> AnsibleConnectionFailure:
        machine = self.get_option("machine")
        return AnsibleConnectionFailure(
            f"lab machine {machine}: {error}; `orchestrator lab status` tells more, `orchestrator lab up` mends"
        )

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self._connect()
        try:
            code, out, err = self.client.communicate(
                self.folder,
                ["/bin/sh", "-c", to_native(cmd)],
                in_data or b"",
                env={},
                timeout=self.get_option("timeout"),
            )
            return int(code), bytes(out), bytes(err)
        except self.client.MachineDownError as error:
            raise self._down(error) from None
        except OSError as error:
            raise AnsibleError(f"lab machine {self.get_option('machine')}: {error}") from None

    def put_file(self, in_path: str, out_path: str) -> None:
        super().put_file(in_path, out_path)
        try:
            source = os.open(to_bytes(in_path), os.O_RDONLY)
        except OSError as error:
            raise AnsibleFileNotFound(f"{in_path}: {error.strerror}") from None
        try:
            sink = self._connect().client.null()
            try:
                self._run_with_files('cat > "$1"', out_path, source, sink)
            finally:
                os.close(sink)
        finally:
            os.close(source)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        super().fetch_file(in_path, out_path)
        target = os.open(to_bytes(out_path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            source = self._connect().client.null()
            try:
                self._run_with_files('cat < "$1"', in_path, source, target)
            finally:
                os.close(source)
        finally:
            os.close(target)

    def _run_with_files(self, script: str, path: str, stdin: int, stdout: int) -> None:
        argv = ["/bin/sh", "-c", script, "sh", to_native(path)]
        try:
            code, said = self.client.run_with_files(
                self.folder, argv, stdin=stdin, stdout=stdout, env={}, timeout=self.get_option("timeout")
            )
        except self.client.MachineDownError as error:
            raise self._down(error) from None
        if code:
            raise AnsibleError(f"lab machine {self.get_option('machine')}: {path}: {said.strip()}")

    def close(self) -> None:
        self._connected = False

    def reset(self) -> None:
        self.close()
