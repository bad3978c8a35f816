"""`change:` of a placement: in which batches, how many may fail, and what a failure does; for each mode."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from orchestrator.documents.base import Items, Model

EVERYTHING = ("100%",)


def _size(value: Any) -> Any:
    if type(value) is int and value >= 1:  # bool is an int to isinstance
        return value
    if isinstance(value, str) and (found := re.fullmatch(r"(\d{1,3})%", value)) and 1 <= int(found[1]) <= 100:
        return value
    raise PydanticCustomError("batch", "must be a number from 1, or a percentage such as 25%")


def _limit(value: Any) -> Any:
    if type(value) is int and value >= 0:
        return value
    raise PydanticCustomError("limit", "must be a whole number from 0")


Size: TypeAlias = Annotated[int | str, BeforeValidator(_size)]
Limit: TypeAlias = Annotated[int, BeforeValidator(_limit)]
Sizes: TypeAlias = Annotated[tuple[Size, ...], Items(False), Field(min_length=1)]


class StableChange(Model):
    """How machines are changed: batches over a workload's machines at a site."""

    batches: Sizes = EVERYTHING
    max_failures: Limit = Field(default=0, alias="maxFailures")
    snapshot: bool = False
    on_failure: Literal["stop", "restore"] = Field(default="stop", alias="onFailure")

    @model_validator(mode="after")
    def _has_what_it_restores(self) -> Self:
        if self.on_failure == "restore" and not self.snapshot:
            raise PydanticCustomError("restore", "restores a snapshot on failure, and takes none; add `snapshot: true`")
        return self


class AgileChange(Model):
    """How Kubernetes objects are changed: batches over the sites of the placement."""

    batches: Sizes = EVERYTHING
    max_failures: Limit = Field(default=0, alias="maxFailures")
    on_failure: Literal["stop", "rollback"] = Field(default="stop", alias="onFailure")


class ChangePolicy(Model):
    """The same words for both modes; a mode that is not there is changed all at once."""

    stable: StableChange | None = None
    agile: AgileChange | None = None
