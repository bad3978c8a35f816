"""What a blueprint's workloads are: the part of the document models that describes stable and agile ones."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from orchestrator.documents.agile_sources import Container, Helm
from orchestrator.documents.base import Items, Model, exactly_one
from orchestrator.documents.scalar_types import (
    Condition,
    ConfigKey,
    Count,
    Duration,
    Expression,
    Identifier,
    LabelKey,
    Name,
    ParameterType,
    Port,
    Quantity,
    Text,
)


class Output(Model):
    """A typed value that others may refer to."""

    type: ParameterType
    value: Any


class Disk(Model):
    """A disk beside the first; with `keep` it outlives its machine and is found again by the next of that name."""

    size: Quantity
    keep: bool = False


class Machines(Model):
    """The machines that a stable workload runs on."""

    count: Count = 1
    cpu: Count | None = None
    memory: Quantity | None = None
    disk: Quantity | None = None
    image: Expression | None = None
    labels: dict[LabelKey, Expression] = Field(default_factory=dict)
    disks: dict[Name, Disk] = Field(default_factory=dict)
    networks: Annotated[tuple[Expression, ...], Items(False)] = ()
    cloud_init: Annotated[Expression | None, Field(alias="cloudInit")] = None


class Configure(Model):
    """What Ansible does inside the machines: a playbook, or roles."""

    playbook: str | None = None
    roles: Annotated[tuple[str, ...], Items(False)] = ()
    remove: str | None = None
    vars: dict[Identifier, Any] = Field(default_factory=dict)
    tags: Annotated[tuple[Text, ...], Items(False)] = ()
    skip_tags: Annotated[tuple[Text, ...], Items(False)] = Field(default=(), alias="skipTags")
    ignore: Annotated[tuple[Text, ...], Items(False)] = ()  # what `drift` shows, with globs: it is no drift

    @model_validator(mode="after")
    def _one(self) -> Self:
        exactly_one(self, "playbook", "roles")
        return self


class HttpCheck(Model):
    """An HTTP request to the machine that must answer with `status`."""

    port: Port
    path: str = "/"
    status: int = 200
    tls: bool = False


class Check(Model):
    """One readiness check: exactly one of tcp, http, command, and for how long it is tried."""

    tcp: Port | None = None
    http: HttpCheck | None = None
    command: Expression | None = None
    within: Duration = "60s"

    @model_validator(mode="after")
    def _one(self) -> Self:
        exactly_one(self, "tcp", "http", "command")
        return self


class Publish(Model):
    """A Service in the site's cluster that leads to a workload's machines."""

    service: Name
    port: Port
    namespace: Expression | None = None  # default: of the agile workloads that refer to this one


class StableWorkload(Model):
    """Machines and what runs inside them."""

    machines: Machines = Field(default_factory=Machines)
    configure: Configure | None = None
    ready: Annotated[tuple[Check, ...], Items(False)] = ()
    publish: Publish | None = None
    outputs: dict[Identifier, Output] = Field(default_factory=dict)
    when: Condition = True
    after: Annotated[tuple[str, ...], Items(False)] = ()  # `stable.NAME` or `agile.NAME`
    protect: bool = False


# What an agile workload is made from: exactly one of them. All but a program make objects.
AGILE_SOURCES = ("manifests", "container", "helm", "kustomize", "program")


class AgileOutput(Model):
    """A typed value that others may refer to; a program's has no `value`: it is the export of that name."""

    type: ParameterType
    value: Any = None


class Ignore(Model):
    """Fields that are left to others: of every object of the workload, or of those of a kind, or of one."""

    kind: Text | None = None
    name: Text | None = None
    paths: Annotated[tuple[Text, ...], Items(False), Field(min_length=1)]  # as plans show them


class ObjectReady(Model):
    """When the objects of a kind (or one of them) work: a condition over `object`, as it lives."""

    kind: Text
    name: Text | None = None
    condition: Expression
    within: Duration | None = None


# A text is the condition of every object of a custom kind.
AgileReady: TypeAlias = Annotated[
    Annotated[Expression, Tag("text")] | Annotated[tuple[ObjectReady, ...], Items(False), Tag("list")],
    Discriminator(lambda value: "text" if isinstance(value, str) else "list"),
]


class AgileWorkload(Model):
    """Kubernetes objects, or whatever a Pulumi program makes, from exactly one source."""

    namespace: Expression = "default"
    manifests: Annotated[tuple[Text, ...], Items(False)] = ()
    container: Container | None = None
    helm: Helm | None = None
    kustomize: Expression | None = None  # a folder with a kustomization
    program: Text | None = None  # a folder with a `__main__.py`
    vars: dict[ConfigKey, Any] = Field(default_factory=dict)
    outputs: dict[Identifier, AgileOutput] = Field(default_factory=dict)
    timeout: Duration = "5m"  # for becoming ready
    ready: AgileReady = ()
    contested: Literal["heal", "report", "yield"] = "heal"  # declared fields that somebody else has changed
    ignore: Annotated[tuple[Ignore, ...], Items(False)] = ()
    when: Condition = True
    after: Annotated[tuple[str, ...], Items(False)] = ()
    protect: bool = False

    @model_validator(mode="after")
    def _one(self) -> Self:
        exactly_one(self, *AGILE_SOURCES)
        for name in self.vars if self.program is None else ():
            if ":" in name:
                message = "var `{name}` has a namespace, which only the configuration of a `program` has"
                raise PydanticCustomError("namespaced_var", message, {"name": name})
        for name, output in self.outputs.items():
            given = "value" in output.model_fields_set
            if given and self.program is not None:
                message = "output `{name}` of a program is its export of that name: leave `value` out"
                raise PydanticCustomError("output_value", message, {"name": name})
            if not given and self.program is None:
                raise PydanticCustomError("output_value", "output `{name}` has no `value`", {"name": name})
        return self

    @property
    def source(self) -> str:
        """The key of its source."""
        return next(key for key in AGILE_SOURCES if getattr(self, key))
