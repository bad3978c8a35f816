"""What cannot be reached is held and said; bad input gets one clear message and changes nothing."""

from __future__ import annotations

import base64
import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import PASSWORD, Estate

pytestmark = pytest.mark.lab


def test_a_host_that_is_down_is_held_and_the_rest_is_done(estate: Estate) -> None:
    estate.apply()
    estate.on("db-1", "true")
    stopped = init_of(estate, "db-1")
    os.kill(stopped, signal.SIGSTOP)
    try:
        estate.write("blueprints/shop/blueprint.yaml", "default: hello", "default: hi")
        estate.write("blueprints/shop/blueprint.yaml", "default: 2}", "default: 3}")
        ran = estate.apply(expect=3)
        assert "db-1" in ran.out
        assert "held" in ran.out
        assert "greeting hi" in estate.on("db-0", "cat /etc/db.conf")
        assert estate.field("deployment/web", "{.spec.replicas}") == "3"
    finally:
        os.kill(stopped, signal.SIGCONT)
    estate.apply()
    assert "greeting hi" in estate.on("db-1", "cat /etc/db.conf")


def init_of(estate: Estate, machine: str) -> int:
    """The pid of a machine's first process, from the lab's own file."""
    name = estate.machine(machine)["name"]
    home = Path(estate.environment["ORCHESTRATOR_LAB_HOME"])
    return int(json.loads((home / "machines" / name / "machine.json").read_text())["init"]["pid"])


def test_a_cluster_that_is_down_is_held_with_one_cause_and_the_machines_go_ahead(estate: Estate) -> None:
    estate.apply()
    estate.write("blueprints/shop/blueprint.yaml", "default: hello", "default: hi")
    kubeconfig = Path(estate.environment["KUBECONFIG"])
    broken = estate.root / "broken.kubeconfig"
    broken.write_text(unreachable(kubeconfig.read_text()))
    estate.write("site.yaml", "cluster: {lab: true}", f"cluster: {{kubeconfig: {broken}}}")
    ran = estate.apply(expect=3)
    assert ran.out.count("refused") + ran.out.count("unreachable") <= 2, ran
    assert "greeting hi" in estate.on("db-1", "cat /etc/db.conf")
    estate.write("site.yaml", f"cluster: {{kubeconfig: {broken}}}", "cluster: {lab: true}")


def unreachable(text: str) -> str:
    lines = [
        line.split("server:")[0] + "server: https://127.0.0.1:1" if "server:" in line else line
        for line in text.splitlines()
    ]
    return "\n".join(lines) + "\n"


def test_no_secret_is_in_any_file_or_output(estate: Estate) -> None:
    estate.apply()
    estate.write("blueprints/shop/blueprint.yaml", "default: hello", "default: hi")
    for arguments in (("plan",), ("plan", "-o", "json"), ("render",), ("apply", "--yes", "-o", "json"), ("history",)):
        estate(*arguments)
    estate("plan", "--out", "saved.plan")
    for address in ("stable/db/configuration/db-0", "agile/web/Secret/shop/db"):
        estate("show", "2", "--log", f"lab/shop/{address}")
    printed = "".join(estate.printed).encode()
    forms = (PASSWORD.encode(), base64.b64encode(PASSWORD.encode()))
    assert not any(form in printed for form in forms)
    assert PASSWORD in estate.on("db-0", "cat /etc/db.conf")  # it did arrive
    places = [estate.root, Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local/state")) / "orchestrator"]
    leaks = [
        str(file)
        for place in places
        for file in place.rglob("*")
        if file.is_file() and not file.is_symlink() and any(form in file.read_bytes() for form in forms)
    ]
    assert leaks == []


def test_no_secret_is_on_any_command_line_or_in_any_environment_of_what_is_started(estate: Estate) -> None:
    process = estate.start("apply", "--yes")
    seen: set[str] = set()
    while process.poll() is None:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                seen.add((folder / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    ran = estate.ended(process)
    ran.ended(0)
    assert not [line for line in seen if PASSWORD in line]


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("blueprints/shop/stable/db.yaml", "ansible.builtin.template:", "ansible.builtin.template", "db.yaml"),
        ("blueprints/shop/stable/db.yaml", "notify: Restarted", "notify: Nobody", "Nobody"),
        ("blueprints/shop/stable/db.yaml", "- hosts: all", "- hosts: nobody", "host"),
        ("blueprints/shop/stable/db.yaml", "src: db.conf.j2", "src: nope.conf.j2", "nope.conf.j2"),
    ],
)
def test_a_broken_playbook_is_one_clear_message_and_kubernetes_goes_on(
    estate: Estate, file: str, old: str, new: str, says: str
) -> None:
    estate.write(file, old, new)
    ran = estate("apply", "--yes")
    ran.ended(1)
    assert says in ran.out + ran.err, ran
    assert "Traceback" not in ran.out + ran.err
    estate.write(file, new, old)
    estate.apply()


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("blueprints/shop/agile/web/web.yaml.j2", "kind: Service", "kind: [", "web.yaml.j2:"),
        ("blueprints/shop/agile/web/web.yaml.j2", "{{ replicas }}", "{{ replicaz }}", "replicaz"),
        ("blueprints/shop/blueprint.yaml", "[agile/web]", "[../../../etc]", "leaves"),
        (
            "blueprints/shop/blueprint.yaml",
            "stable.db.outputs.host}\n        password",
            "stable.db.outputs.hots}\n        password",
            "hots",
        ),
        ("site.yaml", "{lab: true}", "{kubeconfig: nowhere.kubeconfig}", "nowhere.kubeconfig"),
    ],
)
def test_a_broken_document_is_one_clear_message_and_nothing_is_changed(
    estate: Estate, file: str, old: str, new: str, says: str
) -> None:
    estate.write(file, old, new)
    ran = estate("apply", "--yes")
    ran.ended(1)
    assert says in ran.err, ran
    assert "Traceback" not in ran.err
    assert not [m for m in estate("lab", "status", "-o", "json").data["machines"] if "shop-db" in m["name"]]
    estate.write(file, new, old)


def test_a_kubeconfig_that_wants_to_run_a_program_is_refused(estate: Estate) -> None:
    config = estate.root / "exec.kubeconfig"
    config.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [
                    {
                        "name": "u",
                        "user": {
                            "exec": {
                                "apiVersion": "client.authentication.k8s.io/v1",
                                "command": "/bin/touch",
                                "args": [str(estate.root / "ran")],
                                "interactiveMode": "Never",
                            }
                        },
                    }
                ],
            }
        )
    )
    estate.write("site.yaml", "{lab: true}", f"{{kubeconfig: {config}}}")
    ran = estate("apply", "--yes")
    ran.ended(1)
    assert "touch" in ran.err
    assert not (estate.root / "ran").exists()
    estate.write("site.yaml", f"{{kubeconfig: {config}}}", "{lab: true}")


def test_a_namespace_that_is_being_deleted_is_said(estate: Estate) -> None:
    manifest = '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}'
    (estate.root / "namespace.json").write_text(manifest)
    estate.kubectl("apply", "-f", str(estate.root / "namespace.json"))
    held = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "held", "namespace": "shop", "finalizers": ["test.example/held"]},
    }
    (estate.root / "held.json").write_text(json.dumps(held))
    estate.kubectl("apply", "-f", str(estate.root / "held.json"))
    estate.kubectl("delete", "namespace", "shop", "--wait=false")
    try:
        ran = estate("apply", "--yes")
        assert ran.code in (1, 3), ran
        assert "being deleted" in ran.out + ran.err, ran
    finally:
        estate.kubectl(
            "--namespace",
            "shop",
            "patch",
            "configmap",
            "held",
            "--type=merge",
            "-p",
            '{"metadata":{"finalizers":null}}',
        )
        estate.kubectl("wait", "--for=delete", "namespace/shop", "--timeout=60s")
    estate.apply()


def test_reconcile_heals_kubernetes_and_only_reports_machines(estate: Estate) -> None:
    estate.apply()
    estate.on("db-0", "echo by-hand >> /etc/db.conf")
    estate.kubectl("--namespace", "shop", "scale", "deployment", "web", "--replicas", "5")
    ran = estate("reconcile", "--once")
    ran.ended(0)
    assert estate.field("deployment/web", "{.spec.replicas}") == "2"
    assert "by-hand" in estate.on("db-0", "cat /etc/db.conf")
    assert "reported only" in ran.err
