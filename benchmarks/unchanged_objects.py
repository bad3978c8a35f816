"""A plan of 1,000 unchanged objects in 20 namespaces, against `kubectl diff --server-side --concurrency 8`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from statistics import median

WORKLOADS, EACH, ROUNDS = 20, 50, 3
BIN = Path(sys.executable).parent


def measure() -> dict[str, object]:
    """Apply once, then time both programs over what is unchanged, in turns."""
    with tempfile.TemporaryDirectory() as folder, lab(Path(folder) / "lab") as environment:
        estate = write_estate(Path(folder) / "estate")
        run([str(BIN / "orchestrator"), "apply", "--yes", "-C", str(estate)], environment)
        manifests = render_for_kubectl(estate, Path(folder) / "manifests.json", environment)
        kubectl = shutil.which("kubectl", path=environment["PATH"]) or "kubectl"
        diff = [kubectl, "diff", "--server-side", "--concurrency", "8", "--field-manager", "orchestrator", "-f"]
        ours, theirs, plan = [], [], {}
        for _ in range(ROUNDS):
            taken, text = timed([str(BIN / "orchestrator"), "plan", "-o", "json", "-C", str(estate)], environment)
            ours.append(taken)
            plan = json.loads(text)
            theirs.append(timed([*diff, str(manifests)], environment)[0])
    observed = plan["observed"]
    assert plan["summary"]["none"] == WORKLOADS * EACH, plan["summary"]
    return {
        "objects": WORKLOADS * EACH,
        "orchestrator plan (s)": round(median(ours), 2),
        "kubectl diff --server-side (s)": round(median(theirs), 2),
        "times faster than kubectl diff": round(median(theirs) / median(ours), 1),
        "API calls": observed["requests"],
        "processes started (Ansible, Pulumi)": observed["ansible_runs"] + observed["pulumi_runs"],
    }


@contextlib.contextmanager
def lab(home: Path) -> Iterator[dict[str, str]]:
    """A lab of its own, and the environment that reaches it."""
    environment = {**os.environ, "ORCHESTRATOR_LAB_HOME": str(home), "PATH": f"{BIN}:{os.environ['PATH']}"}
    program = str(BIN / "orchestrator")
    run([program, "lab", "up"], environment)
    try:
        status = json.loads(timed([program, "lab", "status", "-o", "json"], environment)[1])
        yield {**environment, "KUBECONFIG": status["kubeconfig"]}
    finally:
        run([program, "lab", "down"], environment)


def write_estate(root: Path, prefix: str = "many", workloads: int = WORKLOADS, each: int = EACH) -> Path:
    """Agile workloads of so many ConfigMaps, each in a namespace of its own; estates with other prefixes are others."""
    manifests = root / "blueprints" / "many" / "manifests"
    manifests.mkdir(parents=True)
    (root / "orchestrator.yaml").write_text(
        "apiVersion: orchestrator/v1alpha1\nkind: Estate\n"
        f"metadata: {{name: many, id: {uuid.uuid5(uuid.NAMESPACE_URL, prefix)}}}\n"
    )
    (root / "site.yaml").write_text(
        "apiVersion: orchestrator/v1alpha1\nkind: Site\nmetadata: {name: lab, labels: {env: dev}}\n"
        "spec: {agile: {cluster: {lab: true}}}\n"
    )
    (root / "many.yaml").write_text(
        "apiVersion: orchestrator/v1alpha1\nkind: Placement\nmetadata: {name: many}\n"
        "spec: {blueprint: ./blueprints/many, sites: {matchLabels: {env: dev}}}\n"
    )
    workloads = "".join(
        f"    w{n}: {{namespace: {prefix}-{n}, manifests: [manifests/all.yaml.j2]}}\n" for n in range(workloads)
    )
    (manifests.parent / "blueprint.yaml").write_text(
        "apiVersion: orchestrator/v1alpha1\nkind: Blueprint\nmetadata: {name: many, version: 1.0.0}\n"
        f"spec:\n  agile:\n{workloads}"
    )
    (manifests / "all.yaml.j2").write_text(
        f"{{% for n in range({each}) %}}\n---\napiVersion: v1\nkind: ConfigMap\n"
        'metadata: {name: "c{{ n }}"}\ndata: {key: "value {{ n }}", more: "{{ "x" * 200 }}"}\n{% endfor %}\n'
    )
    return root


def render_for_kubectl(estate: Path, path: Path, environment: dict[str, str]) -> Path:
    """The same objects, as they live (labels and stamps included), without what the server adds."""
    text = timed(["kubectl", "get", "configmaps", "-A", "-l", "orchestrator.dev/workload", "-o", "json"], environment)[
        1
    ]
    items = [item for item in json.loads(text)["items"] if item["metadata"]["name"].startswith("c")]
    kept = ("name", "namespace", "labels", "annotations")
    for item in items:
        item["metadata"] = {key: item["metadata"][key] for key in kept if key in item["metadata"]}
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    assert len(items) == WORKLOADS * EACH, len(items)
    return path


def run(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, check=True, env=environment, stdout=sys.stderr)


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    return time.perf_counter() - started, done.stdout
