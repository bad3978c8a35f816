"""Keeping the secrets that a run is given out of every text that we keep of it."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from orchestrator.model.values import MASK, Secret, Value, leaves

# A shorter one is replaced only where it stands alone: else it would turn whole logs into masks.
SHORT = 4


def scrubber_for(values: Mapping[str, Value], scrub: Callable[[str], str]) -> Callable[[str], str]:
    """`scrub`, and on top of it every secret among these values, in the forms in which Ansible prints them."""
    texts = {str(leaf.reveal()) for leaf in leaves(dict(values)) if isinstance(leaf, Secret)}
    forms = {form for text in texts if text for form in _forms(text)}
    if not forms:
        return scrub
    pattern = re.compile("|".join(_pattern(form) for form in sorted(forms, key=len, reverse=True)))
    return lambda text: scrub(pattern.sub(MASK, text))


def _pattern(form: str) -> str:
    return re.escape(form) if len(form) >= SHORT else rf"(?<!\w){re.escape(form)}(?!\w)"


def _forms(text: str) -> set[str]:
    encoded = base64.b64encode(text.encode()).decode()
    forms = {text, encoded, encoded.rstrip("="), base64.urlsafe_b64encode(text.encode()).decode()}
    forms |= {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
    forms |= {shlex.quote(text), quote(text, safe="")}
    if len(text) >= SHORT:
        forms |= {line for line in text.splitlines() if len(line) >= 2 * SHORT}
    return forms


def scrubbed(value: Any, scrub: Callable[[str], str]) -> Any:
    """Plain JSON data with every text in it scrubbed, keys included."""
    if isinstance(value, Mapping):
        return {scrub(str(key)): scrubbed(inner, scrub) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [scrubbed(inner, scrub) for inner in value]
    return scrub(value) if isinstance(value, str) else value
