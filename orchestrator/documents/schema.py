"""JSON Schemas of the document kinds, from the models; for editors and other programs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from orchestrator.documents.models import Blueprint, Estate, Placement, Site
from orchestrator.documents.validation import KINDS

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: str | None = None) -> dict[str, Any]:
    """The JSON Schema of one kind, or of any document (told apart by `kind`). Raises KeyError on an unknown kind."""
    if kind is not None:
        return {"$schema": _DIALECT, **KINDS[kind].model_json_schema(by_alias=True)}
    documents: TypeAdapter[Any] = TypeAdapter(
        Annotated[Estate | Blueprint | Site | Placement, Field(discriminator="kind")]
    )
    return {"$schema": _DIALECT, "title": "Document", **documents.json_schema(by_alias=True)}
