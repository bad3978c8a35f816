"""Hosts on which nothing is to be done, against `ansible-playbook --check` and a second `ansible-playbook`."""

from __future__ import annotations

import json
from collections import Counter

from benchmarks.hosts import Bench, Took, bench, coverage_of, middle, shown

ROUNDS = 5
THROUGH_PLUGINS = {"orchestrator_direct_ssh": False}


def measure(hosts: int = 50) -> dict[str, object]:
    """One apply, then ours several times and Ansible's two runs once, all over the same hosts."""
    with bench(hosts) as it:
        applied = it.ours("apply", "--yes")
        verify = middle([it.ours("drift") for _ in range(ROUNDS)])
        seen = json.loads(it.ours("drift", "-o", "json").output)
        processes = it.processes("drift")
        it.write_inventory(THROUGH_PLUGINS)
        plugins = middle([it.ours("drift") for _ in range(3)])
        it.write_inventory()
        nothing = middle([it.ours("apply", "--yes") for _ in range(ROUNDS)])
        check, second = it.ansible("--check"), it.ansible()
        before, down = it.ours("drift"), _with_one_down(it)
    assert not seen["changes"], seen["changes"]
    return {
        "hosts": hosts,
        "tasks verified, of those that change anything": coverage_of(seen),
        "first apply (s)": f"{applied.wall:.1f}",
        "ansible-playbook --check (s)": shown(check),
        "ansible-playbook, the second time (s)": shown(second),
        "drift over SSH (s)": shown(verify),
        "drift through Ansible's plugins (s)": shown(plugins),
        "apply, nothing to do (s)": shown(nothing),
        "faster than --check, over SSH (goal: 50)": round(check.wall / verify.wall, 1),
        "faster than --check, through plugins (goal: 15)": round(check.wall / plugins.wall, 1),
        "apply faster than ansible-playbook (goal: 20)": round(second.wall / nothing.wall, 1),
        "one host down: drift takes longer by (s; goal: 10)": round(down.wall - before.wall, 1),
        "processes started by drift": ", ".join(f"{count} {name}" for name, count in sorted(processes.items())),
        "ansible-playbook started": ansible_of(processes),
    }


def _with_one_down(it: Bench) -> Took:
    """What seeing takes with one host that does not answer at all."""
    lost = it.hosts[-1]
    it.fleet.cut(lost)
    try:
        return it.ours("drift")
    finally:
        it.fleet.heal(lost)


def ansible_of(processes: Counter[str]) -> int:
    """How many of them are Ansible's."""
    return sum(count for name, count in processes.items() if name.startswith("ansible"))
