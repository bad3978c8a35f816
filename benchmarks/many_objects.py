"""What a plan of 10,000 unchanged objects takes: memory, time, requests."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks.unchanged_objects import BIN, lab, timed, write_estate

WORKLOADS, EACH = 20, 500


def measure() -> dict[str, object]:
    """Apply once, plan twice; the second has what the first has looked up."""
    with tempfile.TemporaryDirectory() as name, lab(Path(name) / "lab") as environment:
        estate = write_estate(Path(name) / "estate", "many", WORKLOADS, EACH)
        command = [str(BIN / "orchestrator"), "apply", "--yes", "-o", "json", "-C", str(estate)]
        applied, text = timed(command, environment)
        result = json.loads(text.splitlines()[-1])
        plan = [str(BIN / "orchestrator"), "plan", "-o", "json", "-C", str(estate)]
        timed(plan, environment)
        seconds, text = timed(plan, environment)
        megabytes = peak(plan, environment)
    found = json.loads(text)
    assert found["summary"]["none"] == WORKLOADS * EACH, found["summary"]
    return {
        "objects": WORKLOADS * EACH,
        "apply of all, new (s)": round(applied, 1),
        "apply: API calls, pulumi runs": [result["requests"], result["pulumi_runs"]],
        "plan (s)": round(seconds, 1),
        "plan: API calls": found["observed"]["requests"],
        "plan: peak memory (MB)": megabytes,
    }


def peak(command: list[str], environment: dict[str, str]) -> int:
    """The most memory that a command has had, in MB."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, code, usage = os.wait4(process.pid, 0)
    assert code == 0
    return usage.ru_maxrss // 1024
