"""What the CEL library says about an expression, in people's words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.desired.types import words
from orchestrator.documents.validation import did_you_mean

MACHINE = ("name", "address")

TOO_DEEP = ("the expression is nested too deeply", "split it, with an output in between")

_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_OVERLOAD = re.compile(
    r"found no matching overload for '([^']*)' applied to '([^']*)'|.*No matching overloads found ?: (\S+?)(\(.*\))"
)
_FIELD = re.compile(r"undefined field '([^']*)' not found in struct")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_SYNTAX = re.compile(
    r"Syntax error: (?:mismatched|extraneous|no viable alternative at|token recognition error at:?)(?: input)?"
    r" ?'(.*?)'(?: expecting|$)"
)
_NO_KEY = re.compile(r"Key not found in map : (.*)")
_NO_INDEX = re.compile(r"Index error: index=(-?\d+) size=(\d+)")
_CODE = re.compile(r"^[A-Z_]{4,}: ")

_TYPES = {
    "int": "integer", "uint": "integer", "double": "number", "bool": "boolean", "dyn": "any", "null_type": "null",
    "google.protobuf.BoolValue": "boolean",
}  # fmt: skip


def compile_errors(message: str, text: str) -> Iterator[tuple[int, str, str]]:
    """The offset in the expression, what is wrong, and a hint, for each error of the compiler."""
    lines = text.split("\n")
    for line, column, what in _ERROR.findall(message):
        above = sum(len(each) + 1 for each in lines[: int(line) - 1])
        offset = min(above + int(column) - 1, len(text))
        if what.startswith("Syntax error") or not _FIELD.match(what):
            yield offset, *_words(what, text)
        else:
            yield offset + 1, *_words(what, text)  # it tells the dot before the field


def unclear_error(message: str) -> tuple[str, str]:
    """What is wrong where the compiler names no place."""
    return TOO_DEEP if "recursion" in message else (f"not a valid expression: {message[:200]}", "")


def evaluation_error(message: str) -> str:
    """What went wrong while an expression was computed."""
    if found := _NO_KEY.search(message):
        return f"there is no key `{found[1].strip(chr(34))[:80]}`"
    if found := _NO_INDEX.search(message):
        return f"there is no element {found[1]}, the list has {found[2]}"
    return _words(_CODE.sub("", message.strip()), "")[0]


def is_missing(message: str) -> bool:
    """Whether something was looked for that is not (or not yet) there."""
    return bool(_NO_KEY.search(message) or _NO_INDEX.search(message))


def _words(what: str, text: str) -> tuple[str, str]:
    if found := _OVERLOAD.match(what):
        return _overload(found[1] or found[3], found[2] or found[4])
    if found := _FIELD.match(what):
        return f"unknown field `{found[1]}` of a machine", did_you_mean(found[1], MACHINE) or "it has name and address"
    if found := _UNDECLARED.match(what):
        return f"unknown function `{found[1]}`", ""
    if what.startswith("Syntax error"):
        return _syntax(what, text)
    if "recursion" in what:
        return TOO_DEEP
    return what[:200], ""


def _syntax(what: str, text: str) -> tuple[str, str]:
    found = _SYNTAX.match(what)
    found_at = found[1] if found else ""
    if not text.strip():
        return "the expression is empty", "write $${ for the text `${`"
    if found_at == "<EOF>":
        return "the expression ends too early", ""
    if found_at.startswith(".") and len(found_at) > 1:
        return (
            f"`{found_at[1:41]}` cannot stand after a dot",
            f'it is a word of the language; write ["{found_at[1:41]}"]',
        )
    return (f"`{found_at[:40]}` does not belong here" if found_at else "not a valid expression"), ""


def _overload(function: str, given: str) -> tuple[str, str]:
    """An operator or function with operands that it is not made for."""
    kinds = [_kind(each) for each in _arguments(given)]
    if function == "_?_:_" and len(kinds) == 3:
        if kinds[0] not in ("boolean", "any"):
            return f"what stands before `?` must be true or false, not {words(kinds[0])}", "compare it with something"
        return f"the two results of `?:` must have one type, not {words(kinds[1])} and {words(kinds[2])}", ""
    operands = " and ".join(words(kind) for kind in kinds) or "nothing"
    sign = "[…]" if function == "_[_]" else function.replace("_", "").replace("@", "")
    hint = ""
    if "string" in kinds and function == "_+_":
        hint = "string(…) makes a string of a number"
    elif set(kinds) == {"integer", "number"}:
        hint = "double(…) makes a number of an integer"
    return f"`{sign}` does not take {operands}", hint


def _kind(name: str) -> str:
    name = name.strip()
    if name.endswith(".Machine"):
        return "machine"
    base = name.partition("(")[0].partition("<")[0].lower()
    return _TYPES.get(name, _TYPES.get(base, base))


def _arguments(given: str) -> list[str]:
    """`(map(string, dyn), int)` split at its own commas."""
    inner, depth, parts = given.strip()[1:-1], 0, [""]
    for char in inner:
        depth += (char in "(<") - (char in ")>")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part for part in parts if part.strip()]
