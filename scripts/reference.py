"""Write docs/reference.md: every command's help text and every document's fields, from the code itself.

python scripts/reference.py          write it
python scripts/reference.py --check  exit 1 where it is not what the code says
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from orchestrator.cli import COMMANDS, root
from orchestrator.documents import agile_sources, change_policy, models, workloads
from orchestrator.documents.schema import schema

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference.md"
WIDTH = 100


def main() -> int:
    text = reference()
    if "--check" not in sys.argv:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.read_text(encoding="utf-8") == text:
        return 0
    print("docs/reference.md is not what the code says: python scripts/reference.py", file=sys.stderr)
    return 1


def reference() -> str:
    """The whole page."""
    parts = ["# Reference", "Generated from the code: `python scripts/reference.py`.", "## Commands"]
    context = click.Context(root, info_name="orchestrator", max_content_width=WIDTH, terminal_width=WIDTH)
    for commands in COMMANDS.values():
        for name in commands:
            command = root.get_command(context, name)
            assert command is not None
            parts += helps(command, f"orchestrator {name}")
    parts.append("## Documents")
    for kind in ("Estate", "Blueprint", "Site", "Placement"):
        parts += [f"### {kind}", "\n".join(document(schema(kind)))]
    return "\n\n".join(parts) + "\n"


def helps(command: click.Command, path: str) -> Iterator[str]:
    """A command's help, and that of what is below it."""
    context = click.Context(command, info_name=path, max_content_width=WIDTH, terminal_width=WIDTH)
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield f"### `{path}`\n\n```\n{text}\n```"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from helps(inner, f"{path} {name}")


def document(whole: dict[str, Any]) -> Iterator[str]:
    """A kind's fields, a row each."""
    yield "| field | type | default | what it is |"
    yield "|---|---|---|---|"
    yield from rows(whole, whole, "", ())


def rows(whole: dict[str, Any], node: dict[str, Any], path: str, above: tuple[str, ...]) -> Iterator[str]:
    """The fields below a schema node; `above` are the models on the way, so that none is opened inside itself."""
    required = set(node.get("required", ()))
    for name, field in node.get("properties", {}).items():
        inner, suffix, model = opened(whole, field)
        default = "required" if name in required else f"default `{field['default']}`" if field.get("default") else ""
        told = (
            field.get("description") or comments().get((model_of(above), name)) or (inner or {}).get("description", "")
        )
        first = " ".join(told.split("\n\n")[0].split()).replace("|", "\\|")
        yield f"| `{path}{name}{suffix}` | {type_of(field)} | {default} | {first} |"
        if inner is not None and model not in above:
            yield from rows(whole, inner, f"{path}{name}{suffix}.", (*above, model))


def model_of(above: tuple[str, ...]) -> str:
    """The model whose fields are written, by its name; empty for the document itself."""
    return above[-1] if above else ""


@functools.cache
def comments() -> dict[tuple[str, str], str]:
    """What the comment behind a field says, by (model, key)."""
    found = {}
    for module in (models, workloads, agile_sources, change_policy):
        for model in vars(module).values():
            if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == module.__name__:
                said = dict(re.findall(r"^    (\w+): [^#\n]*  # (.+)$", inspect.getsource(model), re.MULTILINE))
                for name, info in model.model_fields.items():
                    if name in said:
                        found[model.__name__, info.alias or name] = said[name]
    return found


def opened(whole: dict[str, Any], field: dict[str, Any]) -> tuple[dict[str, Any] | None, str, str]:
    """The model that a field holds, how it is reached from the field, and its name."""
    for choice in [field, *field.get("anyOf", ())]:
        if "$ref" in choice:
            name = choice["$ref"].rpartition("/")[2]
            return whole["$defs"][name], "", name
        if choice.get("type") == "array" and "$ref" in choice.get("items", {}):
            name = choice["items"]["$ref"].rpartition("/")[2]
            return whole["$defs"][name], "[]", name
        for values in (choice.get("additionalProperties"), *choice.get("patternProperties", {}).values()):
            if isinstance(values, dict) and "$ref" in values:
                name = values["$ref"].rpartition("/")[2]
                return whole["$defs"][name], ".NAME", name
    return None, "", ""


def type_of(field: dict[str, Any]) -> str:
    """A field's type in a word or two."""
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(type_of(choice) for choice in field["anyOf"] if choice.get("type") != "null"))
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {type_of(field.get('items', {}))}"
    if field.get("type") == "object":
        return "map"
    return str(field.get("type", "any"))


if __name__ == "__main__":
    sys.exit(main())
