"""`python -m benchmarks [NAME…] [--hosts N]`: run them, print a table, write benchmarks/results.json."""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

from benchmarks import (
    changed_hosts,
    cold_start,
    many_hosts,
    many_objects,
    more_tasks,
    thousand_objects,
    unchanged_hosts,
    unchanged_objects,
)

ALL = {
    "cold-start": cold_start.measure,
    "unchanged-objects": unchanged_objects.measure,
    "thousand-objects": thousand_objects.measure,
    "many-objects": many_objects.measure,
}
ON_HOSTS = {
    "unchanged-hosts": unchanged_hosts.measure,
    "changed-hosts": changed_hosts.measure,
    "more-tasks": more_tasks.measure,
    "many-hosts": many_hosts.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*ALL, *ON_HOSTS]))
    parser.add_argument("--hosts", type=int, help="how many hosts the benchmarks of hosts use")
    given = parser.parse_args()
    if unknown := set(given.names) - {*ALL, *ON_HOSTS}:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join([*ALL, *ON_HOSTS])}")
    # As an installed package is: a checkout told to keep no bytecode compiles in each command what has changed.
    compileall.compile_dir(Path(__file__).parents[1] / "orchestrator", quiet=2)
    results: dict[str, dict[str, object]] = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    }
    show("machine", results["machine"])
    failed = False
    for name in given.names or [*ALL, *ON_HOSTS]:
        how_many = {"hosts": given.hosts} if given.hosts and name in ON_HOSTS else {}
        try:
            results[name] = {**ALL, **ON_HOSTS}[name](**how_many)
        except Exception:  # noqa: BLE001 - the others are still worth their time
            failed = True
            traceback.print_exc()
            continue
        show(name, results[name])
        Path(__file__).with_name("results.json").write_text(json.dumps(results, indent=1) + "\n")
    return int(failed)


def show(name: str, found: Mapping[str, object]) -> None:
    print(name)
    for key, value in found.items():
        print(f"  {key:62} {value}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
