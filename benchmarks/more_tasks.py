"""Whether verifying depends on how many tasks a playbook has: four times as many, each for things of its own."""

from __future__ import annotations

import json

from benchmarks.hosts import Bench, Took, bench, coverage_of, middle, shown

ROUNDS, TIMES = 7, 4


def measure(hosts: int = 50) -> dict[str, object]:
    """Applied and verified with the playbook as it is, then with the longer one."""
    with bench(hosts) as it:
        few, verify_few, covered_few = _verified(it, 1)
        many, verify_many, covered_many = _verified(it, TIMES)
    more = verify_many.wall / verify_few.wall - 1
    return {
        "hosts": hosts,
        f"drift with {few} tasks ({covered_few} verified) (s)": shown(verify_few),
        f"drift with {many} tasks ({covered_many} verified) (s)": shown(verify_many),
        "more, in % (goal: at most 20)": f"{more * 100:.0f}, CPU {(verify_many.cpu / verify_few.cpu - 1) * 100:.0f}",
    }


def _verified(it: Bench, times: int) -> tuple[int, Took, str]:
    tasks = it.repeat_tasks(times)
    it.ours("apply", "--yes")
    seen = json.loads(it.ours("drift", "-o", "json").output)
    assert not seen["changes"], seen["changes"]
    return tasks, middle([it.ours("drift") for _ in range(ROUNDS)]), coverage_of(seen)
