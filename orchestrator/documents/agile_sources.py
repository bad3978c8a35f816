"""What an agile workload's objects can come from, beside manifests: a container, a Helm chart."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from orchestrator.documents.base import Items, Model, exactly_one
from orchestrator.documents.scalar_types import Condition, Count, Duration, Expression, Name, Port, Text

Words = Annotated[tuple[Expression, ...], Items(False)]
PORT_NAME = r"^([0-9]+-)*[0-9]*[a-z]([a-z0-9]|-[a-z0-9])*$"
ENV_NAME = r"^[-._a-zA-Z][-._a-zA-Z0-9]*$"
MOUNT_PATH = r"^/[^:]*[^:/]$"
PortName = Annotated[str, Field(pattern=PORT_NAME, max_length=15)]
EnvName = Annotated[str, Field(pattern=ENV_NAME)]
MountPath = Annotated[str, Field(pattern=MOUNT_PATH)]
DIGEST = r"^sha256:[0-9a-f]{64}$"
_QUANTITY = re.compile(r"(\d+(\.\d*)?|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][-+]?\d+)?")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _amount(value: Any) -> Any:
    """`cpu: 2` is as good as `cpu: "2"`."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _quantity(value: str) -> str:
    if "${" not in value and not _QUANTITY.fullmatch(value):
        raise PydanticCustomError("amount", "must be a quantity of Kubernetes', such as 250m, 2, 512Mi or 10Gi")
    return value


Amount = Annotated[Expression, BeforeValidator(_amount), AfterValidator(_quantity)]


class Probe(Model):
    """How a container is asked whether it is well: exactly one of http, tcp, command."""

    http: Expression | None = None  # a path
    tcp: bool = False
    command: Words = ()
    port: PortName | None = None  # by its name; the first one if it is left out
    delay: Duration | None = None
    period: Duration | None = None
    timeout: Duration | None = None
    failures: int | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        exactly_one(self, "http", "tcp", "command")
        return self


class Probes(Model):
    """Kubernetes' three probes."""

    readiness: Probe | None = None
    liveness: Probe | None = None
    startup: Probe | None = None


class Resources(Model):
    """What a container asks for, and what it may take at most."""

    requests: dict[Text, Amount] = Field(default_factory=dict)
    limits: dict[Text, Amount] = Field(default_factory=dict)


class ServicePorts(Model):
    """The Service of a container, where it differs from the container's own ports."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    ports: dict[PortName, Port] = Field(default_factory=dict)


class Volume(Model):
    """A folder of the container: a claim of `size` that outlives the pods, or without it an empty one for each pod."""

    path: MountPath
    size: Amount | None = None
    storage_class: Expression | None = Field(default=None, alias="storageClass")
    shared: bool = False  # ReadWriteMany
    read_only: bool = Field(default=False, alias="readOnly")


class FileOf(Model):
    """A file of the blueprint's folder; `.j2` is rendered with the workload's `vars`."""

    file: Text


FileContent = Annotated[
    Annotated[Expression, Tag("text")] | Annotated[FileOf, Tag("file")],
    Discriminator(lambda value: "file" if isinstance(value, dict | FileOf) else "text"),
]


class Ingress(Model):
    """Where a container is reached from outside."""

    host: Expression
    path: Expression = "/"
    port: PortName | None = None
    class_name: Expression | None = Field(default=None, alias="class")
    tls: Expression | None = None  # the name of a Secret with the certificate
    annotations: dict[Text, Expression] = Field(default_factory=dict)


class Autoscaling(Model):
    """How many pods there are, by what they use (per cent of what they request)."""

    min: Count = 1
    max: Count
    cpu: Count | None = None
    memory: Count | None = None

    @model_validator(mode="after")
    def _any(self) -> Self:
        if self.cpu is None and self.memory is None:
            raise PydanticCustomError("no_metric", "needs `cpu` or `memory`, in per cent of what is requested")
        if isinstance(self.min, int) and isinstance(self.max, int) and self.min > self.max:
            what = "has a `min` of {min}, which is more than its `max` of {max}"
            raise PydanticCustomError("min", what, {"min": self.min, "max": self.max})
        return self


class Job(Model):
    """A container that runs to its end: as a Job, or with a schedule as a CronJob."""

    retries: Count | None = None
    deadline: Duration | None = None
    concurrency: Literal["Allow", "Forbid", "Replace"] = "Forbid"
    suspend: Condition = False


class Container(Model):
    """A shorthand for a Deployment (or Job, CronJob) of one container, and what belongs to it."""

    image: Expression
    replicas: Count = 1
    command: Words = ()
    args: Words = ()
    ports: dict[PortName, Port] = Field(default_factory=dict)
    service: ServicePorts = Field(default_factory=ServicePorts)
    env: dict[EnvName, Any] = Field(default_factory=dict)
    files: dict[MountPath, FileContent] = Field(default_factory=dict)
    volumes: dict[Name, Volume] = Field(default_factory=dict)
    resources: Resources = Field(default_factory=Resources)
    probes: Probes = Field(default_factory=Probes)
    ingress: Ingress | None = None
    autoscaling: Autoscaling | None = None
    job: Job | None = None
    schedule: Expression | None = None
    service_account: Expression | None = Field(default=None, alias="serviceAccount")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        runs_to_its_end = self.job is not None or self.schedule is not None
        given = {"replicas": self.replicas != 1, "autoscaling": self.autoscaling, "ingress": self.ingress}
        for name, value in given.items():
            if runs_to_its_end and value:
                raise PydanticCustomError("job", "with a job has no `{name}`", {"name": name})
        if self.autoscaling is not None and "replicas" in self.model_fields_set:
            raise PydanticCustomError(
                "replicas", "with `autoscaling` has no `replicas`: they are between its min and max"
            )
        mounted = [*self.files, *(volume.path for volume in self.volumes.values())]
        if twice := next((path for path in mounted if mounted.count(path) > 1), None):
            raise PydanticCustomError("mounted", "has two things at `{path}`", {"path": twice})
        if self.ingress is not None and not self.ports:
            raise PydanticCustomError("no_ports", "needs `ports` for its `ingress`")
        named = [self.ingress.port if self.ingress else None, *self.service.ports]
        named += [each.port for each in (self.probes.readiness, self.probes.liveness, self.probes.startup) if each]
        for port in named:
            if port is not None and port not in self.ports:
                raise PydanticCustomError("port", "has no `{port}` among its `ports`", {"port": port})
        for probe in (self.probes.readiness, self.probes.liveness, self.probes.startup):
            if probe is not None and not probe.command and not self.ports:
                raise PydanticCustomError("no_ports", "needs `ports` for a probe by http or tcp")
        return self


class Login(Model):
    """What a chart's registry or repository asks for; the password comes from a parameter of type `secret`."""

    username: Expression
    password: Expression

    @model_validator(mode="after")
    def _by_reference(self) -> Self:
        if "${" not in self.password:
            raise PydanticCustomError(
                "password", "has its password in clear: take it from a parameter of type `secret`, `${parameters.…}`"
            )
        return self


class Helm(Model):
    """A Helm chart: of the blueprint's folder, or a remote one that is pinned by version and digest.

    chart    a folder or .tgz of the blueprint, `oci://…`, or a chart's name in `repository`
    digest   of the .tgz in a repository; of the manifest of an OCI reference
    """

    chart: Text
    repository: Text | None = None
    version: Text | None = None
    digest: Annotated[str, Field(pattern=DIGEST)] | None = None
    login: Login | None = None
    release: Expression | None = None
    values: dict[str, Any] = Field(default_factory=dict)
    values_files: Annotated[tuple[Text, ...], Items(False)] = Field(default=(), alias="valuesFiles")
    crds: bool = True
    kube_version: Expression | None = Field(default=None, alias="kubeVersion")
    api_versions: Words = Field(default=(), alias="apiVersions")

    @property
    def remote(self) -> bool:
        """Whether it has to be fetched."""
        return self.repository is not None or self.chart.startswith("oci://")

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if self.repository is not None and not self.repository.startswith(("https://", "http://")):
            raise PydanticCustomError(
                "repository", "needs a URL with https:// as `repository`; an OCI reference is a `chart`"
            )
        pins = {"version": self.version, "digest": self.digest}
        for name, pin in pins.items():
            if self.remote and pin is None:
                raise PydanticCustomError("pin", "needs `{name}` for a remote chart", {"name": name})
            if not self.remote and pin is not None:
                raise PydanticCustomError("pin", "takes no `{name}` for a chart of the blueprint", {"name": name})
        if self.login is not None and not self.remote:
            raise PydanticCustomError("login", "takes no `login` for a chart of the blueprint")
        place = urlsplit(self.repository or "")
        if self.login is not None and place.scheme == "http" and place.hostname not in LOOPBACK:
            raise PydanticCustomError("login", "needs https:// in `repository` where there is a `login`")
        return self
