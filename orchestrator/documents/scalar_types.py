"""The scalar types of the document models."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*$"
QUANTITY = r"\d{1,12}(\.\d{1,3})?[KMGT]i?"
CONFIG_KEY = r"^([a-z][-a-z0-9]*:)?[A-Za-z_][A-Za-z0-9_]*$"  # of a Pulumi program also a provider's, as aws:region
DURATION = r"^\d{1,6}(ms|s|m|h)$"
LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"

Name: TypeAlias = Annotated[str, Field(pattern=NAME, max_length=63)]
Identifier: TypeAlias = Annotated[str, Field(pattern=IDENTIFIER, max_length=63)]  # what CEL and Jinja2 can name
LabelKey: TypeAlias = Annotated[str, Field(pattern=LABEL_KEY, max_length=317)]
LabelValue: TypeAlias = Annotated[str, Field(pattern=LABEL_VALUE, max_length=63)]
ConfigKey: TypeAlias = Annotated[str, Field(pattern=CONFIG_KEY, max_length=127)]
EnvironmentName: TypeAlias = Annotated[str, Field(pattern=IDENTIFIER, max_length=127)]
Text: TypeAlias = Annotated[str, Field(min_length=1)]
Duration: TypeAlias = Annotated[str, Field(pattern=DURATION)]
Expression: TypeAlias = str  # text that may contain ${…}
ParameterType: TypeAlias = Literal["string", "integer", "number", "boolean", "list", "map", "secret"]


def _or_expression(kind: type, words: str, low: int = 0, high: int = 1) -> BeforeValidator:
    """A plain value of `kind`, or a text with an expression in it."""

    def checked(value: Any) -> Any:
        if value is None or (isinstance(value, str) and "${" in value):
            return value
        if type(value) is not kind:  # bool is an int to isinstance
            raise PydanticCustomError("plain_or_expression", f"must be {words}, or an expression `${{…}}`")
        if isinstance(value, int) and not low <= value <= high:
            raise PydanticCustomError("range", f"must be between {low} and {high}, not {value}")
        return value

    return BeforeValidator(checked)


def _quantity(value: str) -> str:
    if "${" not in value and not re.fullmatch(QUANTITY, value):
        raise PydanticCustomError("quantity", "must be a size such as 4Gi or 512Mi")
    return value


Count: TypeAlias = Annotated[int | Expression, _or_expression(int, "a whole number", 0, 10_000)]
Port: TypeAlias = Annotated[int | Expression, _or_expression(int, "a port (a whole number)", 1, 65535)]
Quantity: TypeAlias = Annotated[Expression, AfterValidator(_quantity)]
Condition: TypeAlias = Annotated[bool | Expression, _or_expression(bool, "true or false")]
