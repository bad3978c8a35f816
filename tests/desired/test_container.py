"""The container shorthand: what is made of it, where each field comes from, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.model.address import Address
from orchestrator.model.change import Known
from orchestrator.model.values import Secret, Unknown
from tests.desired.estates import FIRST_LINE, PLACEMENT, Made, Make

PLACED = PLACEMENT.replace("values: {}", "values: {password: {secretRef: {env: PASSWORD}}}")
DB = Address.parse("lab/shop/stable/db/machine/db-0")
KNOWN = Known(machines={DB: {"address": "10.0.0.1"}})
SPEC = """
parameters:
  password: {type: secret}
  replicas: {type: integer, default: 2}
stable:
  db:
    outputs:
      host: {type: string, value: "${machines[0].address}"}
agile:
  api:
    namespace: shop
    vars: {level: debug}
    container:
      image: registry.example/api:1.4.2
      replicas: ${parameters.replicas}
      command: [api, --port, "8080"]
      ports: {http: 8080, metrics: 9090}
      service: {ports: {http: 80}}
      env:
        DB_HOST: ${stable.db.outputs.host}
        DB_PASSWORD: ${parameters.password}
        WORKERS: 4
        DEBUG: true
      files:
        /etc/api/api.yaml: {file: files/api.yaml.j2}
        /etc/api/token: "token ${parameters.password}"
      resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 256Mi, cpu: 2}}
      probes:
        readiness: {http: /healthz, period: 5s}
        liveness: {tcp: true, port: metrics}
        startup: {command: [api, check], failures: 30}
      volumes:
        data: {path: /data, size: 10Gi, storageClass: fast}
        cache: {path: /cache}
      ingress: {host: "api.${site.values.domain}", tls: api-tls, class: nginx}
"""
FILES = {"files/api.yaml.j2": "level: {{ level }}\n"}


def made(make: Make, spec: str = SPEC) -> Made:
    return make(spec, FILES, placement=PLACED)


def objects(one: Made, known: Known = KNOWN) -> dict[str, Any]:
    found = one.resolve(known, PASSWORD="s3cret").units
    return {f"{u.address.kind}/{u.address.name}": u.spec["object"] for u in found if u.address.mode == "agile"}


def line_of(text: str, spec: str = SPEC) -> int:
    lines = spec.strip("\n").split("\n")
    return FIRST_LINE + next(i for i, line in enumerate(lines) if text in line)


def test_a_container_becomes_a_deployment_with_what_belongs_to_it(make: Make) -> None:
    found = objects(made(make))
    assert sorted(found) == [
        "ConfigMap/shop/api-files",
        "Deployment.apps/shop/api",
        "Ingress.networking.k8s.io/shop/api",
        "PersistentVolumeClaim/shop/api-data",
        "Secret/shop/api-env",
        "Secret/shop/api-files",
        "Service/shop/api",
    ]
    spec = found["Deployment.apps/shop/api"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (2, {"type": "Recreate"})
    box = spec["template"]["spec"]["containers"][0]
    env = {each["name"]: each for each in box["env"]}
    assert env["DB_HOST"]["value"] == "10.0.0.1"
    assert (env["WORKERS"]["value"], env["DEBUG"]["value"]) == ("4", "true")
    assert env["DB_PASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": "api-env", "key": "DB_PASSWORD"}
    assert found["Secret/shop/api-env"]["stringData"] == {"DB_PASSWORD": Secret("s3cret", "env PASSWORD")}
    assert found["Secret/shop/api-files"]["stringData"]["etc.api.token"].reveal() == "token s3cret"
    assert found["ConfigMap/shop/api-files"]["data"] == {"etc.api.api.yaml": "level: debug\n"}
    assert box["readinessProbe"] == {"httpGet": {"port": "http", "path": "/healthz"}, "periodSeconds": 5}
    assert box["livenessProbe"] == {"tcpSocket": {"port": "metrics"}}
    assert box["startupProbe"] == {"exec": {"command": ["api", "check"]}, "failureThreshold": 30}
    assert box["resources"]["limits"] == {"memory": "256Mi", "cpu": "2"}
    mounts = {each["mountPath"]: each.get("subPath") for each in box["volumeMounts"]}
    assert mounts == {
        "/etc/api/api.yaml": "etc.api.api.yaml", "/etc/api/token": "etc.api.token", "/data": None, "/cache": None
    }  # fmt: skip
    assert [(p["port"], p["targetPort"]) for p in found["Service/shop/api"]["spec"]["ports"]] == [
        (80, "http"),
        (9090, "metrics"),
    ]
    assert found["Ingress.networking.k8s.io/shop/api"]["spec"]["rules"][0]["host"] == "api.shop.localhost"


def test_a_change_of_configuration_rolls_the_pods_and_nothing_tells_the_secret(make: Make) -> None:
    one = made(make)

    def mark(password: str) -> Any:
        unit = one.unit("lab/shop/agile/api/Deployment.apps/shop/api", KNOWN, PASSWORD=password)
        return unit.spec["object"]["spec"]["template"]["metadata"]["annotations"]["orchestrator.dev/config"]

    assert isinstance(mark("a"), Secret)
    assert mark("a") == mark("a") != mark("b")
    assert len(mark("a").reveal()) == 32


def test_what_is_known_later_is_marked_where_it_goes(make: Make) -> None:
    found = objects(made(make), Known())
    env = found["Deployment.apps/shop/api"]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert env[0]["value"] == Unknown("string", frozenset({str(DB)}))
    assert "Unknown" not in str(found["Service/shop/api"])


def test_each_field_comes_from_the_line_that_it_is_written_in(make: Make) -> None:
    one = made(make, SPEC.replace("class: nginx}", "class: nginx, annotations: {a/b/c: d}}"))
    said = f"app/blueprint.yaml:{line_of('ingress')}:103: `a/b/c` cannot be the key of one of the annotations"
    assert one.check() == [said]


def test_with_autoscaling_the_replicas_are_the_autoscalers(make: Make) -> None:
    spec = SPEC.replace("replicas: ${parameters.replicas}\n", "autoscaling: {min: 2, max: 5, cpu: 70}\n")
    found = objects(made(make, spec))
    assert "replicas" not in found["Deployment.apps/shop/api"]["spec"]
    scaler = found["HorizontalPodAutoscaler.autoscaling/shop/api"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 5)
    assert scaler["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}


JOBS = """
agile:
  once: {namespace: jobs, container: {image: "busybox:1", command: [work], job: {retries: 2, deadline: 10m}}}
  nightly: {namespace: jobs, container: {image: "busybox:1", args: [work], schedule: "0 3 * * *"}}
"""


def test_jobs_and_cron_jobs(make: Make) -> None:
    found = objects(make(JOBS))
    job = found["Job.batch/jobs/once"]["spec"]
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (2, 600)
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    cron = found["CronJob.batch/jobs/nightly"]["spec"]
    assert (cron["schedule"], cron["concurrencyPolicy"]) == ("0 3 * * *", "Forbid")
    assert cron["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"] == ["work"]


def test_a_name_that_is_too_long_for_its_kind_is_said_before_the_server_does(make: Make) -> None:
    (said,) = make(JOBS.replace("nightly:", f"{'n' * 53}:")).check()
    assert "the name of a CronJob has at most 52 characters, this one has 53" in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("replicas: ${parameters.replicas}", "replicas: ${site.name}", "`replicas` must be an integer, not a string"),
        ("image: registry.example/api:1.4.2", "image: ${parameters.replicas > 1}", "`image` must be a string"),
    ],
)
def test_a_field_of_the_wrong_type_is_found_before_anything_is_contacted(
    make: Make, old: str, new: str, said: str
) -> None:
    assert any(said in each for each in made(make, SPEC.replace(old, new)).check())


def test_files_whose_keys_would_be_the_same_are_all_kept(make: Make) -> None:
    long = "/" + "d/" * 200 + "x"
    spec = f"agile: {{a: {{container: {{image: x, files: {{/etc/a.b: one, /etc/a/b: two, {long}: three}}}}}}}}"
    made = make(spec)
    data = made.unit("lab/shop/agile/a/ConfigMap/default/a-files").spec["object"]["data"]
    assert sorted(data.values()) == ["one", "three", "two"]
    assert all(len(key) <= 253 for key in data)
    pod = made.unit("lab/shop/agile/a/Deployment.apps/default/a").spec["object"]["spec"]["template"]["spec"]
    mounts = {mount["mountPath"]: data[mount["subPath"]] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts == {"/etc/a.b": "one", "/etc/a/b": "two", long: "three"}
