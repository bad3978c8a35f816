"""What cannot be reached is held and said; what fails is told once and changes nothing; secrets stay secret.

All tests work on one estate that was applied once: each begins with its documents as they were.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PASSWORD, SMALL, Estate
from tests.e2e.watching import below

pytestmark = pytest.mark.lab

BLUEPRINT, PLAYBOOK = (f"blueprints/shop/{name}" for name in ("blueprint.yaml", "stable/db.yaml"))
ANOTHER = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "another"},
}


@pytest.fixture(scope="module")
def running(lab_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """The small estate, applied."""
    root = tmp_path_factory.mktemp("trouble") / "estate"
    shutil.copytree(SMALL, root)
    # A host that is down is waited for no longer than that.
    it = Estate(root, {**lab_environment, "E2E_PASSWORD": PASSWORD, "ORCHESTRATOR_HOST_TIMEOUT": "5"})
    it.write("orchestrator.yaml", "5b0d1c1e-8a41-4a0e-9d0c-6c1d2e3f4a5b", str(uuid.uuid4()))
    shutil.copytree(root, root.parent / "as-it-was")
    it.apply()
    yield it
    it.kubectl("delete", "namespace", "shop", "other", "--ignore-not-found", "--timeout=60s")
    it.remove_machines()


@pytest.fixture
def documents(running: Estate) -> Estate:
    """The estate with its documents as they were; on the targets may be what a test before has left."""
    for path in running.root.iterdir():
        if path.name != ".orchestrator":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(running.root.parent / "as-it-was", running.root, dirs_exist_ok=True)
    return Estate(running.root, dict(running.environment), running.printed)


@pytest.fixture
def estate(documents: Estate) -> Estate:
    """The estate, as declared."""
    documents.apply()
    return documents


def greeting(estate: Estate, machine: str) -> str:
    return estate.on(machine, "grep greeting /etc/db.conf").strip()


def test_a_host_that_is_down_is_held_and_the_rest_is_done(estate: Estate) -> None:
    stopped = init_of(estate, "db-1")
    os.kill(stopped, signal.SIGSTOP)
    try:
        estate.write(BLUEPRINT, "default: hello", "default: hi")
        estate.kubectl("--namespace", "shop", "scale", "deployment", "web", "--replicas", "5")
        ran = estate.apply(expect=3)
        assert "db-1" in ran.out
        assert "held" in ran.out
        assert "timed out after 5 s" in ran.out
        assert greeting(estate, "db-0") == "greeting hi"
        # It needs what is held, but its inputs are known and unchanged.
        assert estate.field("deployment/web", "{.spec.replicas}") == "2"
    finally:
        os.kill(stopped, signal.SIGCONT)
    estate.apply()
    assert greeting(estate, "db-1") == "greeting hi"


def init_of(estate: Estate, machine: str) -> int:
    """The pid of a machine's first process, from the lab's own file."""
    name = estate.machine(machine)["name"]
    home = Path(estate.environment["ORCHESTRATOR_LAB_HOME"])
    return int(json.loads((home / "machines" / name / "machine.json").read_text())["init"]["pid"])


def test_a_cluster_that_is_down_is_held_with_one_cause_and_the_machines_go_ahead(estate: Estate) -> None:
    estate.write(BLUEPRINT, "default: hello", "default: hi")
    broken = estate.root / "broken.kubeconfig"
    broken.write_text(unreachable(Path(estate.environment["KUBECONFIG"]).read_text()))
    estate.write("site.yaml", "cluster: {lab: true}", f"cluster: {{kubeconfig: {broken}}}")
    ran = estate.apply(expect=3)
    assert ran.out.count("refused") == 1, ran
    assert "held" in ran.out
    assert greeting(estate, "db-1") == "greeting hi"


@pytest.mark.parametrize(
    ("cluster", "cause"),
    [
        ("{kubeconfig: nowhere.kubeconfig}", "nowhere.kubeconfig: there is no such file"),
        ("{kubeconfig: site.yaml}", "site.yaml: not a kubeconfig; it has to have clusters, users and contexts"),
        ("{kubeconfig: {secretRef: {env: E2E_UNSET}}}", "E2E_UNSET is not set; export E2E_UNSET=… (site.yaml:"),
        ("{inCluster: true}", "this is no pod"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_holds_its_cluster_and_nothing_else(
    estate: Estate, cluster: str, cause: str
) -> None:
    estate.write("site.yaml", "cluster: {lab: true}", f"cluster: {cluster}")
    estate.write(BLUEPRINT, "default: hello", "default: hi")
    ran = estate("plan").ended(0)
    told = " ".join(ran.out.split())
    assert told.count(cause) == 1, ran
    assert "~ configuration" in told, ran
    assert {action for name, action in estate.plan().items() if name.startswith("agile/")} == {"hold"}


def unreachable(text: str) -> str:
    lines = [
        line.split("server:")[0] + "server: https://127.0.0.1:1" if "server:" in line else line
        for line in text.splitlines()
    ]
    return "\n".join(lines) + "\n"


def test_reconcile_heals_kubernetes_and_only_reports_machines(estate: Estate) -> None:
    estate.on("db-0", "echo by-hand >> /etc/db.conf")
    estate.kubectl("--namespace", "shop", "scale", "deployment", "web", "--replicas", "5")
    ran = estate("reconcile", "--once").ended(0)
    assert estate.field("deployment/web", "{.spec.replicas}") == "2"
    assert "by-hand" in estate.on("db-0", "tail -1 /etc/db.conf")
    assert "reported only" in ran.err
    again = estate("reconcile", "--once").ended(0)
    assert again.err.strip().endswith("lab: nothing to do"), again


def test_reconcile_heals_kubernetes_as_soon_as_it_is_changed(estate: Estate) -> None:
    loop = estate.start("reconcile", "--every", "1h", "--mode", "agile")
    try:
        for replicas in (5, 6):
            estate.kubectl("--namespace", "shop", "scale", "deployment", "web", f"--replicas={replicas}")
            until(lambda: estate.field("deployment/web", "{.spec.replicas}") == "2")
    finally:
        loop.send_signal(signal.SIGINT)
        ran = estate.ended(loop).ended(0)
    assert ran.out.count("spec.replicas 2") >= 1, ran


def until(holds: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_a_secret_is_in_no_file_output_process_or_environment(estate: Estate) -> None:
    """The one it has had from the first apply on, and the one that it gets while all processes are watched."""
    secrets = [PASSWORD, f"canary-{uuid.uuid4().hex}"]
    estate.environment["E2E_PASSWORD"] = secrets[1]
    for arguments in (("plan",), ("plan", "-o", "json"), ("plan", "--out", "saved.plan"), ("render",)):
        estate(*arguments).ended(0)
    process = estate.start("apply", "--yes", "-o", "json")
    seen = watched(process)
    ran = estate.ended(process).ended(0)
    done = [json.loads(line) for line in ran.out.splitlines()]
    number = str(done[-1]["run"])
    log = ("show", number, "--log", "lab/shop/stable/db/configuration/db-0")
    for arguments in (("status",), ("drift",), ("output",), ("show", number), log, ("history",)):
        estate(*arguments).ended(0)
    printed = "".join(estate.printed)

    assert estate.on("db-0", "sed -n 's/^password //p' /etc/db.conf").strip() == secrets[1]  # it did arrive
    there = estate.kubectl("--namespace", "shop", "get", "secret", "db", "-o", "jsonpath={.data.password}")
    assert base64.b64decode(there).decode() == secrets[1]

    forms = [form for secret in secrets for form in (secret, base64.b64encode(secret.encode()).decode())]
    assert not [form for form in forms if form in printed]
    assert not [name for name, text in seen.items() if any(form in text for form in forms)]
    places = [estate.root, *Path("/dev/shm").glob("orchestrator*"), state_folder()]
    leaks = [
        str(file)
        for place in places
        for file in place.rglob("*")
        if file.is_file() and not file.is_symlink() and any(form.encode() in file.read_bytes() for form in forms)
    ]
    assert leaks == []


def state_folder() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local/state")) / "orchestrator"


def watched(process: Any) -> dict[str, str]:
    """Command lines of all processes, and the environment of those that it has started, until it ends.

    Between fork and exec a child still is the program that was given the secret: it is looked at again after that.
    """
    seen: dict[str, str] = {}
    while process.poll() is None:
        own = Path(f"/proc/{process.pid}/cmdline").read_bytes()  # it is waited for by us alone: it is there
        if not own:  # it has only just begun, or ended
            continue
        started = set(below(process.pid))
        for folder in Path("/proc").glob("[0-9]*"):
            pid = int(folder.name)
            try:
                line = (folder / "cmdline").read_bytes()
                looked = {"cmdline": line}
                if pid in started and line != own:
                    looked["environ"] = (folder / "environ").read_bytes()
            except OSError:
                continue
            for name, found in looked.items():
                text = found.decode(errors="replace")
                seen[f"{name} of {pid}: {text[:200]}"] = text
    assert any("ansible-playbook" in name for name in seen)
    assert any("pulumi" in name for name in seen)
    return seen


@pytest.mark.parametrize(
    ("old", "new", "says", "where"),
    [
        ("notify: Restarted", "notify: Nobody", "handler `Nobody`, which its play does not have", "stable/db.yaml:4"),
        ("- hosts: all", "- hosts: nobody", "play `nobody` matches no host", "stable/db.yaml:1"),
        ("src: db.conf.j2", "src: nope.conf.j2", "Could not find or access 'nope.conf.j2'", "stable/db.yaml:4"),
    ],
)
def test_a_broken_playbook_is_one_clear_message_and_changes_nothing(
    estate: Estate, old: str, new: str, says: str, where: str
) -> None:
    before = [estate.on(machine, "cat /var/tmp/restarts") for machine in ("db-0", "db-1")]
    estate.write(PLAYBOOK, old, new)
    estate.write(BLUEPRINT, "default: hello", "default: hi")
    ran = estate.apply(expect=1)
    assert ran.out.count(says) == 1, ran
    assert f"blueprints/shop/{where}" in ran.out
    assert "Traceback" not in ran.out + ran.err
    assert [greeting(estate, machine) for machine in ("db-0", "db-1")] == ["greeting hello"] * 2
    assert [estate.on(machine, "cat /var/tmp/restarts") for machine in ("db-0", "db-1")] == before


REFUSED = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: negative}
spec:
  selector: {matchLabels: {a: b}}
  replicas: -1
  template:
    metadata: {labels: {a: b}}
    spec:
      containers:
        - {name: one, image: x}
        - name: two
          image: x
          imagePullPolicy: Sometimes
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: typed}
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      containers:
        - {name: one, image: x}
        - name: two
          image: x
          ports:
            - containerPort: http
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: over-quota}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: ConfigMap
    metadata: {name: not-wanted}
"""
# Nobody may make a ConfigMap of that name, or any more claims.
GUARDS = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "claims", "namespace": "shop"},
            "spec": {"hard": {"persistentvolumeclaims": "0"}},
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "e2e-names"},
            "spec": {
                "matchConstraints": {
                    "resourceRules": [
                        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
                    ]
                },
                "validations": [
                    {"expression": "object.metadata.name != 'not-wanted'", "message": "that name is not wanted"}
                ],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "e2e-names"},
            "spec": {"policyName": "e2e-names", "validationActions": ["Deny"]},
        },
    ],
}


def test_what_the_cluster_refuses_is_told_at_the_line_of_the_field_that_it_names(documents: Estate) -> None:
    """Validation, types, a quota and an admission policy, all in one plan; an apply begins nothing of that workload."""
    (documents.root / "guards.json").write_text(json.dumps(GUARDS))
    (documents.root / "blueprints/shop/agile/bad.yaml").write_text(REFUSED)
    documents.write(BLUEPRINT, "  agile:\n", "  agile:\n    bad: {namespace: shop, manifests: [agile/bad.yaml]}\n")
    documents.kubectl("apply", "-f", str(documents.root / "guards.json"))
    quota = ("--namespace", "shop", "get", "resourcequota", "claims", "-o", "jsonpath={.status.hard}")
    denied = ("--namespace", "shop", "create", "configmap", "not-wanted", "--dry-run=server", "-o", "name")
    try:
        until(lambda: "persistentvolumeclaims" in documents.kubectl(*quota))
        until(lambda: subprocess.run(["kubectl", *denied], env=documents.environment, check=False).returncode != 0)
        ran = documents("plan", "-o", "json", "--mode", "agile").ended(1)
    finally:
        documents.kubectl("delete", "-f", str(documents.root / "guards.json"))
    told = {c["address"].rpartition("/")[2]: c["refused"] for c in ran.data["changes"] if c["action"] == "conflict"}
    for name, *expected in (
        (
            "negative",
            ("spec.replicas: Invalid value: -1: must be greater than or equal to 0", "6:13"),
            ("spec.template.spec.containers[1].imagePullPolicy: Unsupported value", "14:28"),
        ),
        (
            "typed",
            ('spec.template.spec.containers[name="two"].ports[containerPort="http",protocol="TCP"]', "29:30"),
        ),
        ("over-quota", ("exceeded quota: claims", "31:1")),
        ("not-wanted", ("ValidatingAdmissionPolicy 'e2e-names' with binding 'e2e-names' denied", "39:5")),
    ):
        found = told[name]
        assert len(found) == len(expected), found
        for one, (says, place) in zip(found, expected, strict=True):
            assert says in one["message"], found
            assert one["where"] == f"blueprints/shop/agile/bad.yaml:{place}", found
    assert "that name is not wanted" in told["not-wanted"][0]["message"]


def test_a_namespace_that_is_being_deleted_is_said_and_used_when_it_is_gone(estate: Estate) -> None:
    held = {"metadata": {"name": "held", "namespace": "other", "finalizers": ["test.example/held"]}}
    (estate.root / "held.json").write_text(json.dumps({**ANOTHER, **held}))
    estate.kubectl("create", "namespace", "other")
    estate.kubectl("create", "-f", str(estate.root / "held.json"))
    estate.kubectl("delete", "namespace", "other", "--wait=false")
    (estate.root / "blueprints/shop/agile/other.json").write_text(json.dumps(ANOTHER))
    estate.write(BLUEPRINT, "  agile:\n", "  agile:\n    other: {namespace: other, manifests: [agile/other.json]}\n")
    try:
        ran = estate.apply(expect=1)
        told = " ".join(ran.out.split())  # a line may break anywhere
        assert told.count("namespace other is being deleted; apply again when it is gone") == 1, ran
    finally:
        patch = ["--type=merge", "--patch", '{"metadata": {"finalizers": null}}']
        estate.kubectl("--namespace", "other", "patch", "configmap", "held", *patch)
        estate.kubectl("wait", "--for=delete", "namespace/other", "--timeout=60s")
    estate.apply()
    assert estate.kubectl("--namespace", "other", "get", "configmap", "another", "-o", "name")
