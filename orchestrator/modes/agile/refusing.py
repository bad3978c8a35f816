"""What an API server has against an object, one by one, each with the place where that was written. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.model.observation import Refusal
from orchestrator.model.unit import Unit
from orchestrator.modes.agile.client.api import RefusedError
from orchestrator.modes.agile.placing import place

_MOST = 10  # of one object's refusals
_LONGEST = 300  # of one refusal's text
_VALUE = re.compile(r"^Invalid value: (.{61,}): (?=[^:]+$)", re.DOTALL)  # whole templates are repeated in it
# `admission webhook "x" denied the request: …`, `ValidatingAdmissionPolicy 'x' with binding 'y' denied request: …`
_ADMISSION = re.compile(r"^(.*\bdenied (?:the )?request)\b[:\s]*", re.DOTALL)
# `failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): .spec.replicas: expected numeric …`, or
# `…): errors:` and one such line for each
_TYPED = re.compile(r"^failed to create typed patch object \([^)]*\): (?:errors:)?")
_TYPED_FIELD = re.compile(r"^\s*(\.(?:\[[^\]]*\]|[^\s\[\]:])+): (.*)$", re.MULTILINE)

_Named = tuple[str, str]
"""The field that is named, empty where none is, and what is against it."""


def refusals(unit: Unit, refused: RefusedError, scrub: Callable[[str], str]) -> tuple[Refusal, ...]:
    """What the API server has against a unit's object: a field's at its line, all else at the object's."""
    whole = str(unit.source)
    found = [Refusal(_short(text), place(unit, field) or whole) for field, text in _each(_scrubbed(refused, scrub))]
    found = list(dict.fromkeys(found))
    more = len(found) - _MOST
    return (*found[:_MOST], Refusal(f"and {more} more", whole)) if more > 0 else tuple(found)


def lines(found: Sequence[Refusal]) -> str:
    """One refusal in words, without its place; or a line for each, with it."""
    return found[0].why if len(found) == 1 else "\n".join(map(str, found))


def _scrubbed(refused: RefusedError, scrub: Callable[[str], str]) -> RefusedError:
    """The same without any secret: before anything of it is cut."""
    causes = tuple({**cause, "message": scrub(str(cause.get("message", "")))} for cause in refused.causes)
    return RefusedError(refused.status, refused.reason, scrub(refused.message), causes)


def _each(refused: RefusedError) -> Iterator[_Named]:
    for cause in refused.causes:
        if cause.get("reason") == "NamespaceTerminating":
            words = cause["message"].replace("terminated", "deleted")
            yield "", f"{words}; apply again when it is gone"
            return
    named = [_named(cause) for cause in refused.causes if cause.get("field")]
    if found := _ADMISSION.match(refused.message):
        yield "", _admission(refused.message, found, named)
    elif found := _TYPED.match(refused.message):
        typed = _TYPED_FIELD.findall(refused.message[found.end() :])
        named = named or [(field, f"{field.removeprefix('.')}: {text}") for field, text in typed]
    if named:
        yield from named
    elif not _ADMISSION.match(refused.message):
        yield "", _first_line(refused.message)


def _named(cause: Mapping[str, Any]) -> _Named:
    field = str(cause["field"])
    return field, f"{field}: {_first_line(_VALUE.sub('', cause['message']))}"


def _admission(message: str, found: re.Match[str], named: Sequence[_Named]) -> str:
    """Who has refused it, and its words, whose lines are put into one, where the fields do not say the same."""
    words = " ".join(message[found.end() :].split())
    told = any(text.partition(": ")[2] in words for _, text in named)
    return found[1] if told or not words else f"{found[1]}: {words}"


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
