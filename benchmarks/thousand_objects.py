"""A thousand objects that are all new, and one that changed, against kubectl and an ordinary Pulumi program."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.unchanged_objects import BIN, EACH, WORKLOADS, lab, run, timed, write_estate

ROUNDS = 3
CHANGED = "changed"


def measure() -> dict[str, object]:
    """kubectl and ours in turns; the Pulumi program, which is far slower, once."""
    with tempfile.TemporaryDirectory() as name, lab(Path(name) / "lab") as environment:
        folder = Path(name)
        run(
            [str(BIN / "orchestrator"), "apply", "--yes", "-C", str(write_estate(folder / "first", "first"))],
            environment,
        )
        ours, kubectl = [], []
        for number in range(ROUNDS):
            estate = write_estate(folder / f"new-{number}", f"new-{number}")
            kubectl.append(apply_with_kubectl(write_list(folder, f"kubectl-{number}"), environment))
            ours.append(apply_with_ours(estate, environment))
        program = write_list(folder, "program")
        new = up(folder, program, environment)
        changed = []
        for number in range(ROUNDS):
            change_one(estate, number)
            changed.append(apply_with_ours(estate, environment))
        change_one_of(program)
        again = up(folder, program, environment)
        removed = destroy_with_ours(estate, environment)
        deleted = timed(["kubectl", "delete", "-f", str(folder / "kubectl-0.json"), "--wait=true"], environment)[0]
    seconds, one = median(s for s, _ in ours), median(s for s, _ in changed)
    return {
        "objects": WORKLOADS * EACH,
        "all new: orchestrator apply (s)": round(seconds, 2),
        "all new: kubectl apply --server-side (s)": round(median(kubectl), 2),
        "all new: Pulumi program, pulumi up (s)": round(new, 2),
        "all new: times kubectl's time (goal: at most 2)": round(seconds / median(kubectl), 2),
        "all new: times faster than the Pulumi program (goal: 5)": round(new / seconds, 1),
        "all new: API calls, pulumi runs": [ours[-1][1]["requests"], ours[-1][1]["pulumi_runs"]],
        "one changed: orchestrator apply (s)": round(one, 2),
        "one changed: Pulumi program over all (s)": round(again, 2),
        "one changed: times faster than the Pulumi program (goal: 5)": round(again / one, 1),
        "one changed: API calls, pulumi runs": [changed[-1][1]["requests"], changed[-1][1]["pulumi_runs"]],
        "all deleted, namespaces gone: orchestrator destroy (s)": round(removed[0], 2),
        "all deleted, namespaces gone: kubectl delete (s)": round(deleted, 2),
        "all deleted: times kubectl's time": round(removed[0] / deleted, 2),
        "all deleted: API calls, pulumi runs": [removed[1]["requests"], removed[1]["pulumi_runs"]],
    }


def apply_with_ours(estate: Path, environment: dict[str, str]) -> tuple[float, dict[str, int]]:
    """Seconds, and the run's result."""
    taken, text = timed([str(BIN / "orchestrator"), "apply", "--yes", "-o", "json", "-C", str(estate)], environment)
    return taken, json.loads(text.splitlines()[-1])


def destroy_with_ours(estate: Path, environment: dict[str, str]) -> tuple[float, dict[str, int]]:
    """Seconds, and the run's result; the namespaces are gone by then."""
    taken, text = timed([str(BIN / "orchestrator"), "destroy", "--yes", "-o", "json", "-C", str(estate)], environment)
    return taken, json.loads(text.splitlines()[-1])


def apply_with_kubectl(manifests: Path, environment: dict[str, str]) -> float:
    return timed(["kubectl", "apply", "--server-side", "-f", str(manifests)], environment)[0]


def up(folder: Path, manifests: Path, environment: dict[str, str]) -> float:
    """The whole program, as somebody would run it."""
    command = [sys.executable, "-m", "benchmarks.pulumi_program", str(folder / "pulumi"), str(manifests)]
    return timed(command, environment)[0]


def write_list(folder: Path, prefix: str) -> Path:
    """The same objects as plain manifests, their namespaces first."""
    names = [f"{prefix}-{n}" for n in range(WORKLOADS)]
    items = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names]
    for name in names:
        for n in range(EACH):
            data = {"key": f"value {n}", "more": "x" * 200}
            meta = {"name": f"c{n}", "namespace": name, "labels": {"benchmark": prefix}}
            items.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    path = folder / f"{prefix}.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return path


def change_one(estate: Path, number: int) -> None:
    """One object of one workload says something else."""
    blueprint = estate / "blueprints" / "many" / "blueprint.yaml"
    text = blueprint.read_text()
    if CHANGED not in text:
        blueprint.write_text(text.replace("all.yaml.j2", f"{CHANGED}.yaml.j2", 1))
    manifests = blueprint.parent / "manifests"
    whole = (manifests / "all.yaml.j2").read_text()
    value = f"'changed {number}' if n == 7 else 'value ' ~ n"
    changed = whole.replace('"value {{ n }}"', '"{{ ' + value + ' }}"')
    (manifests / f"{CHANGED}.yaml.j2").write_text(changed)


def change_one_of(path: Path) -> None:
    data = json.loads(path.read_text())
    data["items"][-1]["data"]["key"] = "changed"
    path.write_text(json.dumps(data))
