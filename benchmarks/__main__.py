"""`python -m benchmarks [NAME…]`: run them, print a table, write benchmarks/results.json."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path

from benchmarks import cold_start, many_objects, thousand_objects, unchanged_objects

ALL = {
    "cold-start": cold_start.measure,
    "unchanged-objects": unchanged_objects.measure,
    "thousand-objects": thousand_objects.measure,
    "many-objects": many_objects.measure,
}


def main(names: list[str]) -> int:
    unknown = set(names) - set(ALL)
    if unknown:
        print(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(ALL)}", file=sys.stderr)
        return 64
    results = {name: ALL[name]() for name in names or ALL}
    results["machine"] = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    for name, found in results.items():
        print(name)
        for key, value in found.items():
            print(f"  {key:42} {value}")
    Path(__file__).with_name("results.json").write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
