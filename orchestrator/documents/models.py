"""The four document kinds, as pydantic models; they forbid unknown keys and are the source of the JSON Schemas.

Values that may hold `${…}` are typed `Any` or `Expression` here; desired/ gives them their types.
"""

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
from orchestrator.documents.change_policy import ChangePolicy
from orchestrator.documents.scalar_types import (
    UUID,
    Condition,
    ConfigKey,
    Count,
    Duration,
    EnvironmentName,
    Expression,
    Identifier,
    LabelKey,
    LabelValue,
    Name,
    ParameterType,
    Port,
    Quantity,
    Text,
)

API_VERSION = "orchestrator/v1alpha1"


class SecretSource(Model):
    """Where a secret is read from, exactly one of them."""

    env: Text | None = None
    file: Text | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        exactly_one(self, "env", "file")
        return self


class SecretRef(Model):
    """A secret, by reference."""

    secret_ref: SecretSource = Field(alias="secretRef")


class Requirement(Model):
    """One line of a label selector."""

    key: LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Annotated[tuple[str, ...], Items(False)] = ()

    @model_validator(mode="after")
    def _values(self) -> Self:
        if self.operator in ("In", "NotIn") and not self.values:
            raise PydanticCustomError("no_values", "`{operator}` needs `values`", {"operator": self.operator})
        if self.operator in ("Exists", "DoesNotExist") and self.values:
            raise PydanticCustomError("values", "`{operator}` takes no `values`", {"operator": self.operator})
        return self


class Selector(Model):
    """A Kubernetes label selector; an empty one picks everything."""

    match_labels: dict[LabelKey, str] = Field(default_factory=dict, alias="matchLabels")
    match_expressions: Annotated[tuple[Requirement, ...], Items(False)] = Field(default=(), alias="matchExpressions")


class EstateMetadata(Model):
    """The estate's name and its permanent id."""

    name: Name
    id: Annotated[str, Field(pattern=UUID)]


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
    enum: Annotated[tuple[Any, ...], Items(False)] | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    pattern: str | None = None


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


class BlueprintMetadata(Model):
    """A blueprint's name and semantic version."""

    name: Name
    version: str
    title: str = ""


class BlueprintSpec(Model):
    """What a blueprint describes."""

    parameters: dict[Identifier, Parameter] = Field(default_factory=dict)
    stable: dict[Name, StableWorkload] = Field(default_factory=dict)
    agile: dict[Name, AgileWorkload] = Field(default_factory=dict)
    outputs: dict[Identifier, Output] = Field(default_factory=dict)


class Blueprint(Model):
    """Portable, versioned, site-free description of stable and agile workloads."""

    api_version: Literal["orchestrator/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["Blueprint"]
    metadata: BlueprintMetadata
    spec: BlueprintSpec


class SiteMetadata(Model):
    """A site's name and labels."""

    name: Name
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict)


class Binding(Model):
    """Which inventory hosts serve a workload: a group, or hosts by name."""

    group: Text | None = None
    hosts: Annotated[tuple[Text, ...], Items(False)] = ()

    @model_validator(mode="after")
    def _one(self) -> Self:
        exactly_one(self, "group", "hosts")
        return self


class SiteStable(Model):
    """How a site's machines are had: a machine provider, and for `static` an Ansible inventory with its bindings."""

    provider: Name
    settings: dict[Identifier, Any] = Field(default_factory=dict)
    inventory: Text | None = None
    vault: SecretRef | None = None  # the password of what Ansible Vault has encrypted
    bind: dict[Name, Binding] = Field(default_factory=dict)


Kubeconfig: TypeAlias = Annotated[
    Annotated[Text, Tag("path")] | Annotated[SecretRef, Tag("reference")],
    Discriminator(lambda value: "reference" if isinstance(value, dict | SecretRef) else "path"),
]


class Cluster(Model):
    """How a site's Kubernetes API is reached: the lab's, a kubeconfig by path or reference, or from a pod in it."""

    lab: bool = False
    in_cluster: bool = Field(default=False, alias="inCluster")  # by the service account of the pod that we run in
    kubeconfig: Kubeconfig | None = None
    context: str | None = None
    exec: Annotated[tuple[str, ...], Items(False)] = ()  # programs that the kubeconfig may start for credentials

    @model_validator(mode="after")
    def _one(self) -> Self:
        exactly_one(self, "lab", "kubeconfig", "inCluster")
        return self


class Programs(Model):
    """How Pulumi programs run at a site: what they see of our environment, and who serves their `kubernetes:` types.

    `official` is Pulumi's own Kubernetes plugin, from PATH or its release.
    """

    environment: Annotated[tuple[EnvironmentName, ...], Items(False)] = ()
    provider: Literal["inprocess", "official"] = "inprocess"


class SiteAgile(Model):
    """The agile half of a site."""

    cluster: Cluster
    programs: Programs = Field(default_factory=Programs)


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
    overrides: Annotated[tuple[Override, ...], Items(False)] = ()
    change: ChangePolicy | None = None


class Placement(Model):
    """What runs where."""

    api_version: Literal["orchestrator/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["Placement"]
    metadata: PlacementMetadata
    spec: PlacementSpec


Document: TypeAlias = Estate | Blueprint | Site | Placement
