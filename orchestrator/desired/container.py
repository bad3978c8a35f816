"""The `container` shorthand: a Deployment, Job or CronJob of one container, and the objects that belong to it.

Each field of what is made is known by the field of the blueprint that it comes from.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.desired.blueprints import seconds
from orchestrator.desired.objects import Document, Report
from orchestrator.desired.templates import TemplateFailed, Templates
from orchestrator.desired.types import printed
from orchestrator.documents.agile_sources import Container, FileOf, Probe
from orchestrator.documents.loaded import Folder
from orchestrator.documents.source_paths import inside
from orchestrator.documents.written import JsonPath
from orchestrator.model.source import Diagnostic, Source
from orchestrator.model.values import Secret, Unknown, Value, has_secret, leaves, mapped

CONFIG_HASH = "orchestrator.dev/config"
_SCRYPT = {"n": 2**12, "r": 8, "p": 1, "dklen": 16}  # some ms: what guessing a short secret costs for each guess
_APP = "app.kubernetes.io/name"
_LONGEST_KEY = 253


@dataclass(frozen=True, slots=True)
class Given:
    """What a container is made from.

    values  the blueprint's fields, computed, by their path below `container`
    at      the place of a path below `container`
    """

    name: str
    model: Container
    values: Mapping[JsonPath, Value]
    variables: Mapping[str, Value]
    folder: Folder
    templates: Templates
    at: Callable[[JsonPath], Source]

    def get(self, *path: str | int, default: Any = None) -> Any:
        """A field's value."""
        return self.values.get(path, default)


@dataclass(slots=True)
class _Object:
    """An object that is being made; `places` has what each of its fields comes from."""

    given: Given
    data: dict[str, Any] = field(default_factory=dict)
    places: dict[JsonPath, JsonPath] = field(default_factory=dict)

    def put(self, path: JsonPath, value: Any, *origin: str | int) -> None:
        """Set the field at `path`; nothing is set for None. A number in a path is the next element of a list, or one
        that is there."""
        if value is None:
            return
        into: Any = self.data
        for key, following in itertools.pairwise(path):
            empty: Any = [] if isinstance(following, int) else {}
            if isinstance(into, list):
                if key == len(into):
                    into.append(empty)
                into = into[int(key)]
            else:
                into = into.setdefault(key, empty)
        if isinstance(into, list):
            into.append(value)
        else:
            into[path[-1]] = value
        self.places[path] = origin

    def document(self) -> Document:
        """The object with its places."""
        return Document(self.data, self.source)

    def source(self, path: JsonPath) -> Source:
        """The place of a field: its own, or the nearest above that has one."""
        for end in range(len(path), 0, -1):
            if (origin := self.places.get(path[:end])) is not None:
                return self.given.at(origin)
        return self.given.at(())


def documents(given: Given, report: Report) -> list[Document]:
    """The objects of a container."""
    config = _Config(given, report)
    made = [*config.objects(), *_claims(given), _controller(given, config)]
    if given.model.ports and not _ends(given):
        made.append(_service(given))
    if given.model.ingress is not None:
        made.append(_ingress(given))
    if given.model.autoscaling is not None:
        made.append(_autoscaler(given))
    return [each.document() for each in made]


def _ends(given: Given) -> bool:
    return given.model.job is not None or given.model.schedule is not None


def _new(given: Given, api_version: str, kind: str, name: str, *origin: str) -> _Object:
    made = _Object(given)
    made.put(("apiVersion",), api_version, *origin)
    made.put(("kind",), kind, *origin)
    made.put(("metadata", "name"), name, *origin)
    made.put(("metadata", "labels", _APP), given.name)
    return made


class _Config:
    """What a container is configured with: plain in ConfigMaps, secret in Secrets; and a hash that rolls the pods."""

    def __init__(self, given: Given, report: Report) -> None:
        self.given = given
        self.env: dict[str, Value] = {name: _text(given.get("env", name)) for name in given.model.env}
        read = {path: _content(given, path, report) for path in given.model.files}
        self.files: dict[str, Value] = {path: text for path, text in read.items() if text is not None}
        self.keys = _keys(self.files)

    def objects(self) -> Iterator[_Object]:
        """The ConfigMap and Secrets that are needed."""
        secret_env = {name: value for name, value in self.env.items() if has_secret(value)}
        if secret_env:
            made = _new(self.given, "v1", "Secret", f"{self.given.name}-env", "env")
            for name, value in secret_env.items():
                made.put(("stringData", name), value, "env", name)
            yield made
        for secret, kind, part in ((False, "ConfigMap", "data"), (True, "Secret", "stringData")):
            files = {path: text for path, text in self.files.items() if has_secret(text) == secret}
            if files:
                made = _new(self.given, "v1", kind, f"{self.given.name}-files", "files")
                for path, text in files.items():
                    made.put((part, self.keys[path]), text, "files", path)
                yield made

    def hash(self) -> Value:
        """A hash of what is read once at the start: of all files, and of variables that come from a Secret."""
        read: dict[str, Value] = dict(self.files)
        read |= {name: value for name, value in self.env.items() if has_secret(value)}
        if not read:
            return None
        unknown = [leaf for leaf in leaves(read) if isinstance(leaf, Unknown)]
        if unknown:
            needs = frozenset[str]().union(*(leaf.needs for leaf in unknown))
            return Unknown("string", needs, has_secret(read))
        plain = mapped(read, lambda leaf: leaf.reveal() if isinstance(leaf, Secret) else leaf)
        text = json.dumps(plain, sort_keys=True, ensure_ascii=False).encode()
        if not has_secret(read):
            return hashlib.sha256(text).hexdigest()[:32]
        return Secret(hashlib.scrypt(text, salt=self.given.name.encode(), **_SCRYPT).hex(), "config")


def _content(given: Given, path: str, report: Report) -> Value:
    """A file's text; None where it is wrong, which is reported."""
    content = given.model.files[path]
    if not isinstance(content, FileOf):
        return _text(given.get("files", path))
    name = inside(content.file)
    source = given.at(("files", path, "file"))
    if name is None or name not in given.folder.files:
        return None  # documents/ has told
    if name.endswith(".j2"):
        try:
            rendered = given.templates.render(name, given.variables)
            return rendered.slots.filled(rendered.text, alone=False)
        except TemplateFailed as failed:
            report(Diagnostic(Source(f"{given.folder.label}/{failed.file}", failed.line), failed.message, failed.hint))
        except ValueError as error:
            report(Diagnostic(source, str(error), "print it as it is"))
        return None
    try:
        return given.folder.files[name].decode()
    except UnicodeDecodeError:
        report(Diagnostic(source, f"`{name}` is not UTF-8 text", "keep binary files in the image or in a volume"))
        return None


def _text(value: Value) -> Value:
    """A value as a text, which variables and files are."""
    if isinstance(value, Secret):
        return Secret(_plain(value.reveal()), value.label)
    if isinstance(value, Unknown):
        return Unknown("string", value.needs, value.secret)
    if has_secret(value) or any(isinstance(leaf, Unknown) for leaf in leaves(value)):
        found = [leaf for leaf in leaves(value) if isinstance(leaf, Unknown)]
        if found:
            return Unknown("string", frozenset[str]().union(*(each.needs for each in found)), has_secret(value))
        return Secret(_plain(mapped(value, lambda leaf: leaf.reveal() if isinstance(leaf, Secret) else leaf)))
    return _plain(value)


def _plain(value: Any) -> str:
    shown = printed(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False) if shown is None else shown


def _keys(paths: Collection[str]) -> dict[str, str]:
    """Each file's key in a ConfigMap: its path, of the letters that keys may have; with a hash where that is not its
    own, or too long."""
    plain = {path: re.sub(r"[^-._a-zA-Z0-9]", "_", path.strip("/").replace("/", ".")) for path in paths}
    times = Counter(plain.values())
    for path, key in plain.items():
        if times[key] > 1 or len(key) > _LONGEST_KEY:
            plain[path] = f"{key[: _LONGEST_KEY - 9]}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"
    return plain


def _controller(given: Given, config: _Config) -> _Object:
    """The Deployment, Job or CronJob."""
    model = given.model
    if model.schedule is not None:
        made = _new(given, "batch/v1", "CronJob", given.name)
        made.put(("spec", "schedule"), given.get("schedule"), "schedule")
        made.put(("spec", "concurrencyPolicy"), model.job.concurrency if model.job else "Forbid", "job", "concurrency")
        made.put(("spec", "suspend"), given.get("job", "suspend"), "job", "suspend")
        job: JsonPath = ("spec", "jobTemplate", "spec")
    elif model.job is not None:
        made = _new(given, "batch/v1", "Job", given.name)
        made.put(("spec", "suspend"), given.get("job", "suspend"), "job", "suspend")
        job = ("spec",)
    else:
        made = _new(given, "apps/v1", "Deployment", given.name)
        if model.autoscaling is None:
            made.put(("spec", "replicas"), given.get("replicas", default=1), "replicas")
        if any(each.size and not each.shared for each in model.volumes.values()):
            made.put(("spec", "strategy", "type"), "Recreate", "volumes")  # two pods cannot have the volume at once
        made.put(("spec", "selector", "matchLabels", _APP), given.name)
        job = ("spec",)
    if _ends(given):
        made.put((*job, "backoffLimit"), given.get("job", "retries"), "job", "retries")
        if model.job and model.job.deadline:
            deadline = max(1, round(seconds(model.job.deadline)))
            made.put((*job, "activeDeadlineSeconds"), deadline, "job", "deadline")
    _pod(made, (*job, "template"), config)
    return made


def _pod(made: _Object, at: JsonPath, config: _Config) -> None:
    given, model = made.given, made.given.model
    made.put((*at, "metadata", "labels", _APP), given.name)
    made.put((*at, "metadata", "annotations", CONFIG_HASH), config.hash(), "files")
    spec: JsonPath = (*at, "spec")
    if _ends(given):
        made.put((*spec, "restartPolicy"), "Never", "job")
    made.put((*spec, "serviceAccountName"), given.get("serviceAccount"), "serviceAccount")
    box: JsonPath = (*spec, "containers", 0)
    made.put((*box, "name"), given.name)
    made.put((*box, "image"), given.get("image"), "image")
    for part in ("command", "args"):
        value = given.get(part)
        made.put((*box, part), [_text(each) for each in value] if value else None, part)
    for index, name in enumerate(model.ports):
        made.put((*box, "ports", index, "name"), name, "ports", name)
        made.put((*box, "ports", index, "containerPort"), given.get("ports", name), "ports", name)
    _env(made, box, config)
    for part in ("requests", "limits"):
        for name in getattr(model.resources, part):
            made.put((*box, "resources", part, name), given.get("resources", part, name), "resources", part, name)
    for name in ("readiness", "liveness", "startup"):
        if (probe := getattr(model.probes, name)) is not None:
            _probe(made, (*box, f"{name}Probe"), name, probe)
    _volumes(made, spec, box, config)


def _env(made: _Object, box: JsonPath, config: _Config) -> None:
    for index, (name, value) in enumerate(config.env.items()):
        at: JsonPath = (*box, "env", index)
        made.put((*at, "name"), name, "env", name)
        if has_secret(value):
            made.put((*at, "valueFrom", "secretKeyRef", "name"), f"{made.given.name}-env", "env", name)
            made.put((*at, "valueFrom", "secretKeyRef", "key"), name, "env", name)
        else:
            made.put((*at, "value"), value, "env", name)


def _probe(made: _Object, at: JsonPath, name: str, probe: Probe) -> None:
    origin = ("probes", name)
    given = made.given
    if probe.command:
        made.put((*at, "exec", "command"), given.get(*origin, "command"), *origin, "command")
    else:
        port = probe.port or next(iter(given.model.ports))
        how = "httpGet" if probe.http is not None else "tcpSocket"
        made.put((*at, how, "port"), port, *origin, "port")
        made.put((*at, how, "path"), given.get(*origin, "http"), *origin, "http")
    for key, theirs in (
        ("delay", "initialDelaySeconds"),
        ("period", "periodSeconds"),
        ("timeout", "timeoutSeconds"),
    ):
        if (duration := getattr(probe, key)) is not None:
            made.put((*at, theirs), max(1, round(seconds(duration))), *origin, key)
    made.put((*at, "failureThreshold"), probe.failures, *origin, "failures")


def _volumes(made: _Object, spec: JsonPath, box: JsonPath, config: _Config) -> None:
    given, count, volumes = made.given, 0, 0
    for secret, kind, naming in ((False, "configMap", "name"), (True, "secret", "secretName")):
        files = [path for path, text in config.files.items() if has_secret(text) == secret]
        if not files:
            continue
        volume = "secret-files" if secret else "files"
        at: JsonPath = (*spec, "volumes", volumes)
        volumes += 1
        made.put((*at, "name"), volume, "files")
        made.put((*at, kind, naming), f"{given.name}-files", "files")
        for path in files:
            mount: JsonPath = (*box, "volumeMounts", count)
            made.put((*mount, "name"), volume, "files", path)
            made.put((*mount, "mountPath"), path, "files", path)
            made.put((*mount, "subPath"), config.keys[path], "files", path)
            made.put((*mount, "readOnly"), True, "files", path)
            count += 1
    for name, each in given.model.volumes.items():
        at = (*spec, "volumes", volumes)
        volumes += 1
        made.put((*at, "name"), f"volume-{name}"[:63], "volumes", name)
        if each.size:
            made.put((*at, "persistentVolumeClaim", "claimName"), f"{given.name}-{name}", "volumes", name)
        else:
            made.put((*at, "emptyDir"), {}, "volumes", name)
        mount = (*box, "volumeMounts", count)
        made.put((*mount, "name"), f"volume-{name}"[:63], "volumes", name)
        made.put((*mount, "mountPath"), each.path, "volumes", name, "path")
        made.put((*mount, "readOnly"), each.read_only or None, "volumes", name, "readOnly")
        count += 1


def _claims(given: Given) -> Iterator[_Object]:
    for name, each in given.model.volumes.items():
        if each.size is None:
            continue
        origin = ("volumes", name)
        made = _new(given, "v1", "PersistentVolumeClaim", f"{given.name}-{name}", *origin)
        modes = ["ReadWriteMany" if each.shared else "ReadWriteOnce"]
        made.put(("spec", "accessModes"), modes, *origin, "shared")
        made.put(("spec", "resources", "requests", "storage"), given.get(*origin, "size"), *origin, "size")
        made.put(("spec", "storageClassName"), given.get(*origin, "storageClass"), *origin, "storageClass")
        yield made


def _service(given: Given) -> _Object:
    made = _new(given, "v1", "Service", given.name, "ports")
    made.put(("spec", "type"), given.model.service.type, "service", "type")
    made.put(("spec", "selector", _APP), given.name)
    for index, name in enumerate(given.model.ports):
        own = given.get("service", "ports", name)
        origin = ("ports", name) if own is None else ("service", "ports", name)
        made.put(("spec", "ports", index, "name"), name, *origin)
        made.put(("spec", "ports", index, "port"), given.get(*origin), *origin)
        made.put(("spec", "ports", index, "targetPort"), name, "ports", name)
    return made


def _ingress(given: Given) -> _Object:
    ingress = given.model.ingress
    assert ingress is not None
    made = _new(given, "networking.k8s.io/v1", "Ingress", given.name, "ingress")
    for key in ingress.annotations:
        value = given.get("ingress", "annotations", key)
        made.put(("metadata", "annotations", key), value, "ingress", "annotations", key)
    made.put(("spec", "ingressClassName"), given.get("ingress", "class"), "ingress", "class")
    host = given.get("ingress", "host")
    if ingress.tls is not None:
        made.put(("spec", "tls", 0, "hosts"), [host], "ingress", "tls")
        made.put(("spec", "tls", 0, "secretName"), given.get("ingress", "tls"), "ingress", "tls")
    made.put(("spec", "rules", 0, "host"), host, "ingress", "host")
    way: JsonPath = ("spec", "rules", 0, "http", "paths", 0)
    made.put((*way, "path"), given.get("ingress", "path", default="/"), "ingress", "path")
    made.put((*way, "pathType"), "Prefix", "ingress", "path")
    made.put((*way, "backend", "service", "name"), given.name, "ingress")
    port = ingress.port or next(iter(given.model.ports))
    made.put((*way, "backend", "service", "port", "name"), port, "ingress", "port")
    return made


def _autoscaler(given: Given) -> _Object:
    made = _new(given, "autoscaling/v2", "HorizontalPodAutoscaler", given.name, "autoscaling")
    made.put(("spec", "scaleTargetRef"), {"apiVersion": "apps/v1", "kind": "Deployment", "name": given.name})
    made.put(("spec", "minReplicas"), given.get("autoscaling", "min", default=1), "autoscaling", "min")
    made.put(("spec", "maxReplicas"), given.get("autoscaling", "max"), "autoscaling", "max")
    metrics = [name for name in ("cpu", "memory") if given.get("autoscaling", name) is not None]
    for index, name in enumerate(metrics):
        at: JsonPath = ("spec", "metrics", index)
        made.put((*at, "type"), "Resource", "autoscaling", name)
        made.put((*at, "resource", "name"), name, "autoscaling", name)
        made.put((*at, "resource", "target", "type"), "Utilization", "autoscaling", name)
        made.put((*at, "resource", "target", "averageUtilization"), given.get("autoscaling", name), "autoscaling", name)
    return made
