"""What one more host costs, from 100 to 500: the probe alone, of hosts that have what fifteen tasks have left.

Ansible does one host. The others are copies of its disk, each with an sshd and namespaces of its own for processes,
mounts and name; they share one network, each with an address of its own: five hundred bridge ports would need more
neighbours than a kernel keeps by default, for all of its namespaces together.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.hosts import Bench, bench
from orchestrator.modes.stable.reach.reaching import Hosts, Reach
from tests.machines.fleet import DIES_WITH_US

ROUNDS, STEPS, BUSY_S = 5, 4, 120.0
SSHD = """
mount -t overlay machine -o lowerdir={root},upperdir={folder}/upper,workdir={folder}/work {folder}/root
cd {folder}/root
hostname {name}
mount -t proc proc proc; mount -t tmpfs run run; mount --rbind /dev dev; mkdir -p run/sshd
exec chroot . /usr/sbin/sshd -D -e -o ListenAddress={address}
"""


def measure(hosts: int = 500) -> dict[str, object]:
    """Medians of rounds over more and more of the hosts, each by a process of its own, as a command has it."""
    counts = [hosts // 5 + step * (hosts - hosts // 5) // STEPS for step in range(STEPS + 1)]
    with bench(1) as it:
        it.ours("apply", "--yes")
        with _crowd(it, hosts) as names:
            _remember(it, names)
            takes: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
            for _ in range(ROUNDS):
                for count in counts:
                    takes[count].append(_look(it, names[:count]))
    wall = {count: median(take[0] for take in found) for count, found in takes.items()}
    cpu = {count: median(take[1] for take in found) for count, found in takes.items()}
    first, middle, last = counts[0], counts[STEPS // 2], counts[-1]
    return {
        "hosts": f"{first} to {last}",
        **{f"probe of {count} hosts (s)": f"{wall[count]:.2f}, CPU {cpu[count]:.2f}" for count in counts},
        f"one more host, {first} to {middle} (ms)": _more(wall, cpu, first, middle),
        f"one more host, {middle} to {last} (ms)": _more(wall, cpu, middle, last),
        "the second against the first (goal: within 10 %)": " CPU ".join(
            f"{_slope(each, middle, last) / _slope(each, first, middle) * 100 - 100:+.0f} %" for each in (wall, cpu)
        ),
    }


def _slope(of: dict[int, float], few: int, many: int) -> float:
    return (of[many] - of[few]) / (many - few)


def _more(wall: dict[int, float], cpu: dict[int, float], few: int, many: int) -> str:
    return f"{_slope(wall, few, many) * 1000:.1f}, CPU {_slope(cpu, few, many) * 1000:.1f}"


@contextlib.contextmanager
def _crowd(it: Bench, count: int) -> Iterator[list[str]]:
    """So many copies of the first host, in the inventory -> their names."""
    model = it.fleet.machines[it.hosts[0]]
    found = {f"copy{n:03}": f"10.78.{n // 200}.{n % 200 + 10}" for n in range(count)}
    addresses = "".join(f"address add {address}/32 dev lo\n" for address in found.values())
    subprocess.run(["ip", "-batch", "-"], input=addresses, text=True, check=True)
    known = (it.fleet.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    with (it.fleet.folder / "known_hosts").open("a") as file:
        file.writelines(f"{address} {known}" for address in found.values())
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for name, address in found.items():
            processes.append(_start(it, model.folder, name, address))
        inventory = {name: {**model.vars, "ansible_host": address} for name, address in found.items()}
        (it.root / "hosts.yml").write_text(json.dumps({"web": {"hosts": inventory}}))
        yield list(found)
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def _start(it: Bench, model: Path, name: str, address: str) -> subprocess.Popen[bytes]:
    folder = it.fleet.folder / name
    for part in ("work", "root"):
        (folder / part).mkdir(parents=True)
    subprocess.run(["cp", "-a", str(model / "upper"), str(folder / "upper")], check=True)
    shutil.rmtree(folder / "upper/var/lib/orchestrator")
    script = SSHD.format(root=it.fleet.root, folder=folder, name=name, address=address)
    spaces = ["-m", "-p", "-f", "-u", "-i", "--kill-child", "--propagation=private"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [*DIES_WITH_US, "unshare", *spaces, "sh", "-ec", script], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def _remember(it: Bench, names: list[str]) -> None:
    """Let each host keep fingerprints of its own of what Ansible has left on the first one."""
    (path,) = (it.fleet.folder / it.hosts[0] / "upper/var/lib/orchestrator").glob("*/*.json")
    kept = json.loads(path.read_text())
    slot = {part: kept[part] for part in ("stamp", "undo", "coverage", "things")}
    ask = {"do": "commit", "estate": path.parent.name, "slot": slot, "key": kept["key"], "before": []}
    with _reach(it) as reach:
        for _ in range(10):
            told = reach.probe(Hosts(it.root / "hosts.yml"), dict.fromkeys(names, ask), timeout=BUSY_S)
            lost = [name for name in names if not isinstance(told[name], dict)]
            if not lost:
                return
            names = lost
            time.sleep(1)  # some sshd is only just starting
    raise RuntimeError(f"{len(lost)} hosts do not answer: {told[lost[0]]}")


def _look(it: Bench, names: list[str]) -> tuple[float, float]:
    """Seconds by the clock, and of processors in the process that asks."""
    (estate,) = (it.fleet.folder / it.hosts[0] / "upper/var/lib/orchestrator").iterdir()
    with _reach(it) as reach:
        path = it.root / "hosts.yml"
        reach.inventory(path)
        before, started = _used(reach), time.perf_counter()
        asks = {name: {"do": "look", "estate": estate.name} for name in names}
        told: dict[str, Any] = reach.probe(Hosts(path), asks, timeout=BUSY_S)
        took = time.perf_counter() - started, _used(reach) - before
    for answer in told.values():
        (slot,) = answer["slots"]
        assert not slot["differences"], slot["differences"]
    print(f"    {len(names)} hosts: {took[0]:.2f} s, CPU {took[1]:.2f} s", file=sys.stderr)
    return took


@contextlib.contextmanager
def _reach(it: Bench) -> Iterator[Reach]:
    made = Reach(it.root, lambda text: text)
    try:
        yield made
    finally:
        made.close()


def _used(reach: Reach) -> float:
    """What the process that speaks to hosts has used of processors, in seconds."""
    assert reach._worker is not None
    fields = Path(f"/proc/{reach._worker.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
