"""Hosts to measure on: real sshd, each in namespaces of its own; the estate of examples/fifty-hosts; bare Ansible."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from tests.machines import rootfs
from tests.machines.fleet import Fleet

BIN = Path(sys.executable).parent
EXAMPLE = Path(__file__).parents[1] / "examples" / "fifty-hosts"
TUNED = "[defaults]\nforks = 50\n[ssh_connection]\npipelining = true\n"
AUDIT = """
import os, sys
def count(event, args):
    if event in ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"):
        name = os.path.basename(os.fsdecode(args[0])) if args else "fork"
        line = os.open(os.environ["COUNT_PROCESSES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(line, (name + "\\n").encode())
        os.close(line)
sys.addaudithook(count)
"""


@dataclass(frozen=True)
class Took:
    """What a command took, in seconds: by the clock, and of processors by it and all that it started here."""

    wall: float
    cpu: float
    output: str = field(default="", repr=False)


@dataclass
class Bench:
    """An estate whose hosts are the machines of a fleet, and bare Ansible on the same hosts and playbook."""

    root: Path
    fleet: Fleet
    environment: dict[str, str]
    hosts: list[str]

    def write_inventory(self, extra: Mapping[str, Any] = {}) -> None:
        """The hosts, as the inventory that both use; `extra` are variables of all of them."""
        hosts = {name: self.fleet.machines[name].vars for name in self.hosts}
        text = json.dumps({"web": {"hosts": hosts, "vars": dict(extra)}}, indent=1)
        (self.root / "hosts.yml").write_text(text)

    def set_value(self, name: str, value: object) -> None:
        """A value of the placement."""
        path = self.root / "site.yaml"
        documents = list(yaml.safe_load_all(path.read_text()))
        documents[1]["spec"]["values"][name] = value
        path.write_text(yaml.safe_dump_all(documents))

    def repeat_tasks(self, times: int) -> int:
        """Make the playbook's tasks so many times as many, each time for other things -> how many there are."""
        path = self.root / "base" / "site.yml"
        (play,) = yaml.safe_load((EXAMPLE / "base" / "site.yml").read_text())
        once = json.dumps(play["tasks"])
        each = [
            once.replace("{{ area }}", f"{{{{ area }}}}/{n}").replace('"app"', f'"app{n}"') for n in range(1, times)
        ]
        play["tasks"] = [task for text in (once, *each) for task in json.loads(text)]
        path.write_text(yaml.safe_dump([play], sort_keys=False))
        return len(play["tasks"])

    def ours(self, *command: str, codes: tuple[int, ...] = (0,)) -> Took:
        """One command of ours, as a person would give it."""
        return self.timed([str(BIN / "orchestrator"), *command, "-C", str(self.root)], codes)

    def ansible(self, *options: str, values: Mapping[str, object] = {}) -> Took:
        """Bare ansible-playbook, tuned, with the variables that the blueprint gives."""
        given = {"area": "/srv/base", "release": "1.0.0", **values}
        command = [str(BIN / "ansible-playbook"), "-i", str(self.root / "hosts.yml"), "-e", json.dumps(given), *options]
        return self.timed([*command, str(self.root / "base" / "site.yml")])

    def timed(self, command: list[str], codes: tuple[int, ...] = (0,)) -> Took:
        """Run a command without any connection that another has left open. Raises RuntimeError where it fails."""
        self.forget_connections()
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as said:
            started = time.perf_counter()
            process = subprocess.Popen(
                command, env=self.environment, cwd=self.root, stdout=output, stderr=said, stdin=subprocess.DEVNULL
            )
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            text = output.read().decode()
            if process.returncode not in codes:
                said.seek(0)
                raise RuntimeError(f"{command}: exit code {process.returncode}\n{text[-3000:]}{said.read().decode()}")
        took = Took(wall, used.ru_utime + used.ru_stime, text)
        print(f"    {Path(command[0]).name} {command[1]}: {wall:.2f} s, CPU {took.cpu:.2f} s", file=sys.stderr)
        return took

    def processes(self, *command: str) -> Counter[str]:
        """Which processes one command of ours starts here, by program; a `fork` is Python, which may become one."""
        hook, told = self.root / ".audit", self.root / ".audit" / "told"
        hook.mkdir(exist_ok=True)
        (hook / "sitecustomize.py").write_text(AUDIT)
        told.write_text("")
        counted = {**self.environment, "PYTHONPATH": str(hook), "COUNT_PROCESSES": str(told)}
        Bench(self.root, self.fleet, counted, self.hosts).ours(*command)
        return Counter(told.read_text().split())

    def forget_connections(self) -> None:
        """End the masters of shared ssh connections."""
        for socket in self.fleet.sockets.iterdir():
            subprocess.run(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "any"], capture_output=True)

    def drift_on(self, host: str) -> None:
        """Change by hand what a task has written."""
        self.fleet.machines[host].run("echo by hand >/srv/base/version")


@contextlib.contextmanager
def bench(count: int) -> Iterator[Bench]:
    """So many hosts, on which nothing was done yet. Raises SystemExit where none can be had here."""
    if why := rootfs.why_not():
        raise SystemExit(why)
    names = [f"web{n:02}" for n in range(1, count + 1)]
    with tempfile.TemporaryDirectory() as text, Fleet(Path(text) / "fleet") as fleet, fleet.entered():
        folder = Path(text)
        for name in names:
            fleet.launch(name, "sshd")
        for name in names:
            fleet.wait_for(fleet.machines[name])
        root = folder / "estate"
        shutil.copytree(EXAMPLE, root)
        (root / "ansible.cfg").write_text(TUNED)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        made = Bench(root, fleet, {**environment, "PATH": f"{BIN}:{os.environ['PATH']}"}, names)
        made.write_inventory()
        made.set_value("hosts", count)
        yield made


def middle(takes: list[Took]) -> Took:
    """The median of each."""
    return Took(median(t.wall for t in takes), median(t.cpu for t in takes))


def coverage_of(seen: Mapping[str, Any]) -> str:
    """Of each workload, summed up."""
    found = seen["coverage"]
    return f"{sum(one['verified'] for one in found)} of {sum(one['total'] for one in found)}"


def shown(took: Took) -> str:
    """By the clock, and the processors' time on this side."""
    return f"{took.wall:.2f}, CPU {took.cpu:.2f}"
