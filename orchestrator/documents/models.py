"""The four document kinds, as pydantic models; they forbid unknown keys and are the source of the JSON Schemas.

Values that may hold `${…}` are typed `Any` or `Expression` here; desired/ gives them their types.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

API_VERSION = "orchestrator/v1alpha1"
NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

Name: TypeAlias = Annotated[str, Field(pattern=NAME, max_length=63)]
Expression: TypeAlias = str  # text that may contain ${…}
ParameterType: TypeAlias = Literal["string", "integer", "number", "boolean", "list", "map", "secret"]


class Model(BaseModel):
    """Base of all: unknown keys are errors, types are strict."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


class SecretSource(Model):
    """Where a secret is read from, exactly one of them."""

    env: str | None = None
    file: str | None = None


class SecretRef(Model):
    """A secret, by reference."""

    secret_ref: SecretSource = Field(alias="secretRef")


class Requirement(Model):
    """One line of a label selector."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()


class Selector(Model):
    """A Kubernetes label selector; an empty one picks everything."""

    match_labels: dict[str, str] = Field(default_factory=dict, alias="matchLabels")
    match_expressions: tuple[Requirement, ...] = Field(default=(), alias="matchExpressions")


class EstateMetadata(Model):
    """The estate's name and its permanent id."""

    name: Name
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]


class Estate(Model):
    """The root document."""

    api_version: Literal["orchestrator/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["Estate"]
    metadata: EstateMetadata


class Parameter(Model):
    """One typed parameter of a blueprint; without a default it must be given."""

    type: ParameterType
    default: Any = None
    description: str = ""
    enum: tuple[Any, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None


class Output(Model):
    """A typed value that others may refer to."""

    type: ParameterType
    value: Any


class Machines(Model):
    """The machines that a stable workload runs on."""

    count: int | Expression = 1
    cpu: int | Expression | None = None
    memory: Expression | None = None
    disk: Expression | None = None
    image: Expression | None = None
    labels: dict[str, Expression] = Field(default_factory=dict)


class Configure(Model):
    """What Ansible does inside the machines: a playbook, or roles."""

    playbook: str | None = None
    roles: tuple[str, ...] = ()
    remove: str | None = None
    vars: dict[str, Any] = Field(default_factory=dict)


class HttpCheck(Model):
    """An HTTP request to the machine that must answer with `status`."""

    port: int | Expression
    path: str = "/"
    status: int = 200
    tls: bool = False


class Check(Model):
    """One readiness check: exactly one of tcp, http, command, and for how long it is tried."""

    tcp: int | Expression | None = None
    http: HttpCheck | None = None
    command: Expression | None = None
    within: Annotated[str, Field(pattern=r"^\d+(ms|s|m|h)$")] = "60s"


class StableWorkload(Model):
    """Machines and what runs inside them."""

    machines: Machines = Field(default_factory=Machines)
    configure: Configure | None = None
    ready: tuple[Check, ...] = ()
    outputs: dict[str, Output] = Field(default_factory=dict)
    when: bool | Expression = True
    after: tuple[str, ...] = ()  # `stable.NAME` or `agile.NAME`
    protect: bool = False


class AgileWorkload(Model):
    """Kubernetes objects."""

    namespace: Expression = "default"
    manifests: tuple[str, ...]
    vars: dict[str, Any] = Field(default_factory=dict)
    outputs: dict[str, Output] = Field(default_factory=dict)
    timeout: Annotated[str, Field(pattern=r"^\d+(ms|s|m|h)$")] = "5m"  # for becoming ready
    when: bool | Expression = True
    after: tuple[str, ...] = ()
    protect: bool = False


class BlueprintMetadata(Model):
    """A blueprint's name and semantic version."""

    name: Name
    version: str
    title: str = ""


class BlueprintSpec(Model):
    """What a blueprint describes."""

    parameters: dict[str, Parameter] = Field(default_factory=dict)
    stable: dict[Name, StableWorkload] = Field(default_factory=dict)
    agile: dict[Name, AgileWorkload] = Field(default_factory=dict)
    outputs: dict[str, Output] = Field(default_factory=dict)


class Blueprint(Model):
    """Portable, versioned, site-free description of stable and agile workloads."""

    api_version: Literal["orchestrator/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["Blueprint"]
    metadata: BlueprintMetadata
    spec: BlueprintSpec


class SiteMetadata(Model):
    """A site's name and labels."""

    name: Name
    labels: dict[str, str] = Field(default_factory=dict)


class Binding(Model):
    """Which inventory hosts serve a workload: a group, or hosts by name."""

    group: str | None = None
    hosts: tuple[str, ...] = ()


class SiteStable(Model):
    """How a site's machines are had: a machine provider, and for `static` an Ansible inventory with its bindings."""

    provider: str
    inventory: str | None = None
    bind: dict[str, Binding] = Field(default_factory=dict)


class Cluster(Model):
    """How a site's Kubernetes API is reached: the lab's, or a kubeconfig by path or reference."""

    lab: bool = False
    kubeconfig: str | SecretRef | None = None
    context: str | None = None
    exec: tuple[str, ...] = ()  # programs that the kubeconfig may start for credentials


class SiteAgile(Model):
    """The agile half of a site."""

    cluster: Cluster


class SiteSpec(Model):
    """How a place is reached, and its values."""

    values: dict[str, Any] = Field(default_factory=dict)
    stable: SiteStable | None = None
    agile: SiteAgile | None = None


class Site(Model):
    """A place: labels, how to reach its machines and its cluster."""

    api_version: Literal["orchestrator/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["Site"]
    metadata: SiteMetadata
    spec: SiteSpec


class Override(Model):
    """Other values for some sites."""

    sites: Selector
    values: dict[str, Any]


class PlacementMetadata(Model):
    """A placement's name."""

    name: Name


class PlacementSpec(Model):
    """This blueprint, with these values, at these sites."""

    blueprint: str
    sites: Selector
    values: dict[str, Any] = Field(default_factory=dict)
    overrides: tuple[Override, ...] = ()


class Placement(Model):
    """What runs where."""

    api_version: Literal["orchestrator/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["Placement"]
    metadata: PlacementMetadata
    spec: PlacementSpec


Document: TypeAlias = Estate | Blueprint | Site | Placement
