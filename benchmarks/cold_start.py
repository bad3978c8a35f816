"""How long the command line takes to say its version, against kubectl; and that it imports nothing heavy."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROUNDS = 15
HEAVY = ("kubernetes", "pulumi", "ansible", "ansible_runner", "sqlalchemy", "grpc", "alembic", "pydantic", "rich")


def measure() -> dict[str, object]:
    """Medians of interleaved runs, so that the machine's other work weighs on both alike."""
    ours = [str(Path(sys.executable).with_name("orchestrator")), "--version"]
    kubectl = [shutil.which("kubectl") or str(Path(sys.executable).with_name("kubectl")), "version", "--client"]
    python = [sys.executable, "-c", "pass"]
    times: dict[str, list[float]] = {"ours": [], "kubectl": [], "python": []}
    for _ in range(ROUNDS):
        for name, command in (("ours", ours), ("kubectl", kubectl), ("python", python)):
            times[name].append(seconds(command))
    found = {name: median(values) for name, values in times.items()}
    return {
        "orchestrator --version (ms)": round(found["ours"] * 1000),
        "kubectl version --client (ms)": round(found["kubectl"] * 1000),
        "python -c pass (ms)": round(found["python"] * 1000),
        "ratio to kubectl (goal: at most 1.5)": round(found["ours"] / found["kubectl"], 2),
        "heavy modules imported (goal: none)": heavy_imports(ours[0]) or "none",
    }


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def heavy_imports(program: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", program, "--version"], check=True, capture_output=True, text=True
    )
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    return sorted(imported & set(HEAVY))
