"""What the document models are made of."""

from __future__ import annotations

from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, Strict
from pydantic_core import PydanticCustomError

Items: TypeAlias = Strict  # `Annotated[tuple[X, ...], Items(False)]`: a YAML list is taken for the tuple


class Model(BaseModel):
    """Base of all: unknown keys are errors, types are strict."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


def exactly_one(model: BaseModel, *fields: str) -> None:
    """Refuse a model that sets none or several of `fields` (by their names in documents)."""
    names = {info.alias or name: name for name, info in type(model).model_fields.items()}
    given = [field for field in fields if getattr(model, names[field]) not in (None, (), False)]
    if len(given) != 1:
        wanted = " and ".join(filter(None, (", ".join(f"`{field}`" for field in fields[:-1]), f"`{fields[-1]}`")))
        has = f"it has {' and '.join(f'`{field}`' for field in given)}" if given else "it has none of them"
        raise PydanticCustomError("exactly_one", "needs exactly one of {wanted}; {has}", {"wanted": wanted, "has": has})
