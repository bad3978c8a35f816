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

from orchestrator.documents.base import Items, Model, exactly_one
from orchestrator.documents.change_policy import ChangePolicy
from orchestrator.documents.scalar_types import (
    UUID,
    ConfigKey,
    EnvironmentName,
    Identifier,
    LabelKey,
    LabelValue,
    Name,
    ParameterType,
    Text,
)
from orchestrator.documents.workloads import AgileWorkload, Output, StableWorkload

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


def _is_reference(value: Any) -> str:
    return "reference" if isinstance(value, SecretRef) or (isinstance(value, dict) and "secretRef" in value) else "ids"


# The password of what Ansible Vault has encrypted; or one for each vault id.
Vault: TypeAlias = Annotated[
    Annotated[SecretRef, Tag("reference")] | Annotated[dict[ConfigKey, SecretRef], Tag("ids")],
    Discriminator(_is_reference),
]


class SiteStable(Model):
    """How a site's machines are had: a machine provider, and for `static` an Ansible inventory with its bindings."""

    provider: Name
    settings: dict[Identifier, Any] = Field(default_factory=dict)
    inventory: Text | None = None
    vault: Vault | None = None
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
