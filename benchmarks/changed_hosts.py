"""What an apply costs beside the play: one changed host, and all of them, against bare `ansible-playbook`."""

from __future__ import annotations

from benchmarks.hosts import Bench, Took, bench, middle, shown

ROUNDS = 3


def measure(hosts: int = 50) -> dict[str, object]:
    """Ours and Ansible's in turns, with the same changes; one probe is what seeing all hosts takes."""
    with bench(hosts) as it:
        it.ours("apply", "--yes")
        probe = middle([it.ours("drift") for _ in range(ROUNDS)])
        one = [(_ours_for_one(it), _ansible_for_one(it)) for _ in range(ROUNDS)]
        ours, theirs = middle([pair[0] for pair in one]), middle([pair[1] for pair in one])
        processes = _processes_for_one(it)
        it.set_value("release", "2.0.0")
        all_ours = it.ours("apply", "--yes")
        all_theirs = it.ansible(values={"release": "3.0.0"})
    return {
        "hosts": hosts,
        "one probe of all (s)": shown(probe),
        "one changed host: apply (s)": shown(ours),
        "one changed host: ansible-playbook --limit (s)": shown(theirs),
        "apply without one probe / ansible-playbook (goal: at most 1.1)": ratio(ours, probe, theirs),
        "all hosts changed: apply (s)": shown(all_ours),
        "all hosts changed: ansible-playbook (s)": shown(all_theirs),
        "the same for all (goal: at most 1.1)": ratio(all_ours, probe, all_theirs),
        "ansible-playbook started for one changed host": processes,
    }


def _ours_for_one(it: Bench) -> Took:
    it.drift_on(it.hosts[0])
    return it.ours("apply", "--yes")


def _ansible_for_one(it: Bench) -> Took:
    it.drift_on(it.hosts[0])
    return it.ansible("--limit", it.hosts[0])


def _processes_for_one(it: Bench) -> int:
    it.drift_on(it.hosts[0])
    return it.processes("apply", "--yes")["ansible-playbook"]


def ratio(ours: Took, probe: Took, theirs: Took) -> str:
    """By the clock, and by the processors' time on this side."""
    wall, cpu = (ours.wall - probe.wall) / theirs.wall, (ours.cpu - probe.cpu) / theirs.cpu
    return f"{wall:.2f}, CPU {cpu:.2f}"
