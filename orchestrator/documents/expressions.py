"""The outer form of `${…}` in a text; what stands inside is CEL and desired/'s matter."""

from __future__ import annotations


def unclosed(text: str) -> int | None:
    """The offset of the first `${` that is never closed; None where there is none. `$${` is a literal `${`."""
    at = 0
    while (at := text.find("${", at)) >= 0:
        if at > 0 and text[at - 1] == "$":
            at += 2
            continue
        end = closing(text, at + 2)
        if end is None:
            return at
        at = end + 1
    return None


def closing(text: str, start: int) -> int | None:
    """The offset of the `}` that ends the expression beginning at `start`; braces in its quotes do not count."""
    depth, at, quote = 0, start, ""
    while at < len(text):
        char = text[at]
        if quote:
            if char == "\\":
                at += 1
            elif char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char == "{":
            depth += 1
        elif char == "}":
            if depth == 0:
                return at
            depth -= 1
        at += 1
    return None
