"""Charts rendered by the real helm: values, hooks, secrets, values known later, remote charts, and what is refused."""

# ruff: noqa: E501 - charts are shown as they are written

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.address import Address
from orchestrator.model.change import Known
from orchestrator.model.unit import Unit
from orchestrator.model.values import Secret, Unknown
from orchestrator.rendering import ProgramRenderer
from tests.desired.estates import PLACEMENT, Made, Make

pytestmark = pytest.mark.lab

PLACED = PLACEMENT.replace("values: {}", "values: {password: {secretRef: {env: PASSWORD}}}")
DB = Address.parse("lab/shop/stable/db/machine/db-0")
KNOWN = Known(machines={DB: {"address": "10.0.0.1"}})
SPEC = """
parameters:
  password: {type: secret}
stable:
  db:
    outputs:
      host: {type: string, value: "${machines[0].address}"}
agile:
  web:
    namespace: shop
    helm:
      chart: web
      valuesFiles: [values-prod.yaml]
      values:
        db: {host: "${stable.db.outputs.host}", password: "${parameters.password}"}
"""
FILES = {
    "values-prod.yaml": "replicas: 3\n",
    "web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    "web/values.yaml": "replicas: 1\ndb: {}\n",
    "web/crds/crd.yaml": """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec: {group: example.com, scope: Cluster, names: {kind: Thing, plural: things}, versions: []}
""",
    "web/templates/thing.yaml": "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: one}\n",
    "web/templates/secret.yaml": """\
apiVersion: v1
kind: Secret
metadata:
  name: {{ .Release.Name }}
data:
  password: {{ .Values.db.password | b64enc }}
""",
    "web/templates/web.yaml": """\
{{- $secret := include (print $.Template.BasePath "/secret.yaml") . }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations:
        checksum/secret: {{ $secret | sha256sum }}
    spec:
      containers:
        - name: web
          image: web:1
          env: [{name: DB, value: {{ printf "redis://%s:6379" .Values.db.host | quote }}}]
""",
    "web/templates/hooks.yaml": """\
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-weight: "5"}}
spec: {ttlSecondsAfterFinished: 60, template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: announce, annotations: {helm.sh/hook: post-install}}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: try, annotations: {helm.sh/hook: test}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: farewell, annotations: {helm.sh/hook: pre-delete}}
""",
}
Renderers = Callable[[], ProgramRenderer]


def units(made: Made, known: Known = KNOWN, password: str = "s3cr3t-Pass") -> dict[str, Unit]:
    found = made.resolve(known, PASSWORD=password).units
    return {
        f"{u.address.kind.partition('.')[0]}/{u.identity.rpartition('/')[2]}": u
        for u in found
        if u.address.mode == "agile"
    }


def test_a_chart_becomes_objects_with_secrets_hooks_and_places(
    make: Make, renderers: Renderers, tmp_path: Path
) -> None:
    made = make(SPEC, FILES, placement=PLACED)
    made.render = first = renderers()
    found = units(made)
    assert sorted(found) == [
        "CustomResourceDefinition/things.example.com", "Deployment/web", "Job/announce", "Job/migrate", "Secret/web", "Thing/one"
    ]  # fmt: skip
    deployment = found["Deployment/web"].spec["object"]
    assert deployment["spec"]["replicas"] == 3
    box = deployment["spec"]["template"]["spec"]["containers"][0]
    assert box["env"][0]["value"] == "redis://10.0.0.1:6379"
    assert found["Secret/web"].spec["object"]["data"]["password"] == Secret("czNjcjN0LVBhc3M=", "env PASSWORD")
    assert isinstance(deployment["spec"]["template"]["metadata"]["annotations"]["checksum/secret"], Secret)
    assert str(found["Deployment/web"].source) == "app/web/templates/web.yaml:3"
    assert found["Thing/one"].identity == "Thing.example.com/one"
    migrate, announce = found["Job/migrate"], found["Job/announce"]
    assert migrate.address in found["Deployment/web"].needs
    assert found["Deployment/web"].address in announce.needs
    assert "ttlSecondsAfterFinished" not in migrate.spec["object"]["spec"]
    assert [n.text for n in made.resolve(KNOWN, PASSWORD="s3cr3t-Pass").notes] == [
        "agile web: hook Job/farewell (pre-delete) is left out: it is for helm's own runs"
    ]
    assert first.runs == 3  # twice, to see whether it is the same each time; once with another secret
    again = make(SPEC, FILES, placement=PLACED)
    again.render = second = renderers()
    assert units(again) == found
    assert second.runs == 0
    for path in (tmp_path / "renderings").iterdir():
        assert b"s3cr3t" not in path.read_bytes()
        assert b"czNjcjN0" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0


def test_what_depends_on_a_value_of_an_earlier_wave_is_known_later(make: Make, renderers: Renderers) -> None:
    made = make(SPEC, FILES, placement=PLACED)
    made.render = renderers()
    found = units(made, Known())
    box = found["Deployment/web"].spec["object"]["spec"]["template"]["spec"]["containers"][0]
    assert box["env"][0]["value"] == Unknown("any", frozenset({str(DB)}))
    assert isinstance(found["Secret/web"].spec["object"]["data"]["password"], Secret)
    assert not found["Job/migrate"].unknown


WRONG = [
    ("a value that is missing", "web.yaml", "a: {{ .Values.a.b.c }}\n", "app/web/templates/web.yaml:1: helm: "),
    ("not YAML once rendered", "web.yaml", "a: 1\nb: {{ .Values.replicas }}\n c: [\n", "app/web/templates/web.yaml:"),
    ("not a template", "web.yaml", "a: 1\n\nb: {{ if }}\n", "app/web/templates/web.yaml:3: helm: "),
    ("the chart refuses", "web.yaml", '\n{{ fail "give a host" }}\n', "app/web/templates/web.yaml:2: helm: "),
    ("made up each time", "web.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  p: {{ randAlpha 9 }}\n",
     "app/web/templates/web.yaml:5: `p` has another value each time"),
    ("decided by a secret", "web.yaml", '{{ if eq .Values.db.password "s3cr3t-Pass" }}\napiVersion: v1\nkind: ConfigMap\n'
     "metadata: {name: a}\n{{ end }}\n", "which objects the chart renders here depends on a value that is secret"),
    ("a secret in what it says", "web.yaml", '{{ fail .Values.db.password }}\n', "app/web/templates/web.yaml:1: helm: "),
    ("generateName", "web.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  generateName: a-\n",
     "app/web/templates/web.yaml:4: `generateName` makes another object"),
    ("a label", "web.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels:\n    a: b c\n",
     "app/web/templates/web.yaml:6: `b c` cannot be the value of a label"),
    ("a dependency that is not there", "Chart.yaml",
     "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies: [{name: x, version: 1.0.0, repository: 'https://x.invalid'}]\n",
     "helm dependency build"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "text", "said"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG])
def test_a_chart_that_does_not_render_is_said_at_its_line(
    make: Make, renderers: Renderers, file: str, text: str, said: str
) -> None:
    name = f"web/{file}" if file == "Chart.yaml" else f"web/templates/{file}"
    made = make(SPEC, {**FILES, name: text}, placement=PLACED)
    made.render = renderers()
    wrong = [str(each) for each in made.wrong(KNOWN, PASSWORD="s3cr3t-Pass").diagnostics]
    assert len(wrong) == 1, wrong
    assert said in wrong[0]
    assert "s3cr3t" not in wrong[0]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def repository(tmp_path: Path, programs: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """A chart repository on loopback: its URL, and the digest of the chart in it."""
    chart, served = tmp_path / "chart", tmp_path / "served"
    served.mkdir()
    for name, content in FILES.items():
        if name.startswith("web/"):
            path = chart / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    helm = programs["helm"]
    subprocess.run([helm, "package", chart / "web", "-d", served], check=True, capture_output=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(served)))
    url = f"http://127.0.0.1:{server.server_port}"
    subprocess.run([helm, "repo", "index", served, "--url", url], check=True, capture_output=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield url, hashlib.sha256((served / "web-1.0.0.tgz").read_bytes()).hexdigest()
    server.shutdown()
    server.server_close()


def test_a_remote_chart_is_fetched_once_and_only_if_it_is_the_pinned_one(
    make: Make, renderers: Renderers, repository: tuple[str, str]
) -> None:
    url, digest = repository

    def spec(pin: str) -> str:
        chart = f"chart: web\n      repository: {url}\n      version: 1.0.0\n      digest: sha256:{pin}"
        return SPEC.replace("chart: web", chart).replace("      valuesFiles: [values-prod.yaml]\n", "")

    refused = make(spec("0" * 64), FILES, placement=PLACED)
    refused.render = renderers()
    (wrong,) = refused.wrong(KNOWN, PASSWORD="x").diagnostics
    assert "REFUSED: web 1.0.0" in wrong.message
    assert digest in wrong.message
    made = make(spec(digest), FILES, placement=PLACED)
    made.render = first = renderers()
    assert "Deployment/web" in units(made)
    assert first.runs == 4  # one of them fetches
