"""The syntax tree of a CEL expression: which names it refers to, and where.

The library tells its tree only as bytes of the protobuf message cel.expr.ParsedExpr; the part of that schema that is
needed here is declared below, with the numbers that the CEL specification gives.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Key: TypeAlias = "str | int | None"  # None: computed


@dataclass(frozen=True, slots=True)
class Step:
    """One step from a name into its parts: `.field` or `["field"]` or `[0]`; `at` is where the field's text begins."""

    key: Key
    at: int
    bracket: int | None = None  # where the `[` stands, if it is one


@dataclass(frozen=True, slots=True)
class Chain:
    """A name and the steps taken from it, as `stable["orders-db"].outputs.host`; `tested` inside of `has()`."""

    root: str
    at: int
    steps: tuple[Step, ...] = ()
    tested: bool = False

    @property
    def keys(self) -> tuple[Key, ...]:
        """The steps' keys, up to the first that is computed."""
        keys: list[Key] = []
        for step in self.steps:
            if step.key is None:
                break
            keys.append(step.key)
        return tuple(keys)


@dataclass(frozen=True, slots=True)
class Tree:
    """What an expression refers to; `whole` if it is nothing but one chain."""

    chains: tuple[Chain, ...]
    whole: bool


def read(serialized: bytes, text: str) -> Tree:
    """The tree of an expression that was compiled without checking; `text` is what was compiled."""
    parsed = _messages()["ParsedExpr"]()
    wrapped = _messages()["Any"]()
    wrapped.ParseFromString(serialized)
    parsed.ParseFromString(wrapped.value)
    reader = _Reader(dict(parsed.source_info.positions), text)
    chains = tuple(reader.visit(parsed.expr, frozenset()))
    kind = parsed.expr.WhichOneof("kind")
    whole = len(chains) == 1 and (kind in ("ident", "select") or _is_index(parsed.expr)) and not chains[0].tested
    return Tree(chains, whole and len(chains[0].keys) == len(chains[0].steps))


def _is_index(expr: Any) -> bool:
    return bool(expr.WhichOneof("kind") == "call" and expr.call.function == "_[_]")


@dataclass(frozen=True, slots=True)
class _Reader:
    positions: Mapping[int, int]
    text: str

    def visit(self, expr: Any, local: frozenset[str]) -> Iterator[Chain]:
        """All chains below a node. Depth is bounded by the parser's own limit."""
        match expr.WhichOneof("kind"):
            case "ident" | "select":
                yield from self.chain(expr, local)
            case "call":
                if _is_index(expr):
                    yield from self.chain(expr, local)
                    return
                if expr.call.HasField("target"):
                    yield from self.visit(expr.call.target, local)
                for argument in expr.call.args:
                    yield from self.visit(argument, local)
            case "list":
                for element in expr.list.elements:
                    yield from self.visit(element, local)
            case "struct":
                for entry in expr.struct.entries:
                    if entry.HasField("map_key"):
                        yield from self.visit(entry.map_key, local)
                    yield from self.visit(entry.value, local)
            case "comprehension":
                yield from self.comprehension(expr.comprehension, local)

    def comprehension(self, loop: Any, local: frozenset[str]) -> Iterator[Chain]:
        """`list.map(x, …)` and the like: x is a name of its own."""
        yield from self.visit(loop.iter_range, local)
        yield from self.visit(loop.accu_init, local)
        inner = local | {loop.iter_var, loop.accu_var} | ({loop.iter_var2} if loop.iter_var2 else set())
        for part in (loop.loop_condition, loop.loop_step, loop.result):
            yield from self.visit(part, inner)

    def chain(self, expr: Any, local: frozenset[str]) -> Iterator[Chain]:
        """The chain that ends in this node, and those in its computed keys."""
        steps: list[Step] = []
        tested = False
        node = expr
        while True:
            kind = node.WhichOneof("kind")
            if kind == "select":
                tested = tested or node.select.test_only
                steps.append(Step(node.select.field, self.after_dot(node)))
                node = node.select.operand
            elif kind == "call" and node.call.function == "_[_]":
                operand, key = node.call.args
                steps.append(self.index(node, key))
                if steps[-1].key is None:
                    yield from self.visit(key, local)
                node = operand
            else:
                break
        if node.WhichOneof("kind") != "ident":
            yield from self.visit(node, local)
        elif node.ident.name not in local:
            yield Chain(node.ident.name, self.positions.get(node.id, 0), tuple(reversed(steps)), tested)

    def after_dot(self, node: Any) -> int:
        """Where a field's name begins; the tree tells the dot (or, for `has`, the call)."""
        dot = self.positions.get(node.id, 0)
        if node.select.test_only or self.text[dot : dot + 1] != ".":
            found = self.text.find(node.select.field, dot)
            return found if found >= 0 else dot
        at = dot + 1
        while self.text[at : at + 1].isspace():
            at += 1
        return at

    def index(self, node: Any, key: Any) -> Step:
        """`["field"]`, `[0]`, or a computed key."""
        bracket = self.positions.get(node.id, 0)
        value: Key = None
        if key.WhichOneof("kind") == "const":
            kind = key.const.WhichOneof("constant")
            value = getattr(key.const, kind) if kind in ("string_value", "int64_value") else None
        start = self.positions.get(key.id, bracket + 1)
        return Step(value, start + 1 if isinstance(value, str) else start, bracket)


# message -> field -> (number, type); a type is a scalar's name or a message of this table; `*` repeats it.
_SCHEMA: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "ParsedExpr": {"expr": (2, "Expr"), "source_info": (3, "SourceInfo")},
    "SourceInfo": {"positions": (4, "map")},
    "Expr": {
        "id": (2, "int64"), "const": (3, "Constant"), "ident": (4, "Ident"), "select": (5, "Select"),
        "call": (6, "Call"), "list": (7, "CreateList"), "struct": (8, "CreateStruct"), "comprehension": (9, "Loop"),
    },
    "Constant": {
        "null_value": (1, "int64"), "bool_value": (2, "bool"), "int64_value": (3, "int64"),
        "uint64_value": (4, "uint64"), "double_value": (5, "double"), "string_value": (6, "string"),
        "bytes_value": (7, "bytes"),
    },
    "Ident": {"name": (1, "string")},
    "Select": {"operand": (1, "Expr"), "field": (2, "string"), "test_only": (3, "bool")},
    "Call": {"target": (1, "Expr"), "function": (2, "string"), "args": (3, "*Expr")},
    "CreateList": {"elements": (1, "*Expr")},
    "CreateStruct": {"entries": (2, "*Entry")},
    "Entry": {"map_key": (3, "Expr"), "value": (4, "Expr")},
    "Loop": {
        "iter_var": (1, "string"), "iter_range": (2, "Expr"), "accu_var": (3, "string"), "accu_init": (4, "Expr"),
        "loop_condition": (5, "Expr"), "loop_step": (6, "Expr"), "result": (7, "Expr"), "iter_var2": (8, "string"),
    },
    "Any": {"value": (2, "bytes")},
}  # fmt: skip
_ONE_OF = {"Expr": ("kind", {"id"}), "Constant": ("constant", set[str]())}


@functools.cache
def _messages() -> Mapping[str, Any]:
    """The message classes of the schema."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    package = "orchestrator.cel"
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        one_of, outside = _ONE_OF.get(name, ("", set[str]()))
        if one_of:
            message.oneof_decl.add(name=one_of)
        for field_name, (number, kind) in fields.items():
            field = message.field.add(name=field_name, number=number)
            _declare(field, kind, message, package)
            if one_of and field_name not in outside:
                field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in _SCHEMA}


def _declare(field: Any, kind: str, message: Any, package: str) -> None:
    """Give a field its type."""
    field.label = field.LABEL_REPEATED if kind[0] == "*" or kind == "map" else field.LABEL_OPTIONAL
    if kind == "map":  # of int64 to int32
        entry = message.nested_type.add(name="PositionsEntry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=field.TYPE_INT64, label=field.LABEL_OPTIONAL)
        entry.field.add(name="value", number=2, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
        field.type, field.type_name = field.TYPE_MESSAGE, f".{package}.{message.name}.PositionsEntry"
    elif (target := kind.lstrip("*")) in _SCHEMA:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{package}.{target}"
    else:
        field.type = getattr(field, f"TYPE_{target.upper()}")
