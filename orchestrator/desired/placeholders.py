"""What stands for secret and not yet known values in templates: it can be printed, and nothing else.

A printed placeholder is a token, a word that occurs nowhere else; `Slots.filled` puts the values in the tokens' places
once the rendered text has been read as YAML. So no secret is ever in a rendered text, and no value can break its YAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from jinja2 import TemplateRuntimeError

from orchestrator.desired.types import printed
from orchestrator.model.values import MASK, Secret, Unknown, Value, has_secret, leaves, mapped

# What YAML readers refuse, or take for a line's end, inside of a quoted text.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def _refuse(self: Placeholder, *_: Any, **__: Any) -> NoReturn:
    raise TemplateRuntimeError(
        f"a value that is {self._slots.what(self)} can be printed, not looped over, tested, compared or computed with"
    )


class Placeholder:
    """A value in a template that is secret or not known yet. `Slots.shown` prints it; str() is refused."""

    __slots__ = ("_slots", "_text")

    def __init__(self, slots: Slots, text: str) -> None:
        self._slots = slots
        self._text = text

    def __repr__(self) -> str:
        return MASK


_REFUSED = """
    str bool len iter contains getitem call hash eq ne lt le gt ge add radd sub rsub mul rmul truediv rtruediv
    floordiv rfloordiv mod rmod pow rpow neg pos abs int float index round format reversed and or xor html
"""
for _name in _REFUSED.split():
    setattr(Placeholder, f"__{_name}__", _refuse)


@dataclass(frozen=True, slots=True)
class _Slot:
    """A token's value where it stands alone, unquoted; and as a part of a text or in quotes."""

    value: Value
    text: Value


@dataclass(slots=True)
class Slots:
    """The tokens of one rendering and what they stand for. `word` occurs in nothing that is rendered."""

    word: str
    _slots: dict[str, _Slot] = field(default_factory=dict)

    @classmethod
    def beside(cls, texts: Iterable[str], word: str = "placeholderx") -> Slots:
        """Slots whose tokens, made of `word` or a longer one, cannot be taken for a part of these texts."""
        while any(word in text.lower() for text in texts):
            word += "x"
        return cls(word)

    def holding(self, value: Any) -> Any:
        """The same value with placeholders for what is secret or not known."""
        return mapped(value, lambda leaf: self.placeholder(leaf) if isinstance(leaf, Secret | Unknown) else leaf)

    def placeholder(self, value: Secret | Unknown, text: Value = None) -> Placeholder:
        """A placeholder for one value; `text` is its form inside of a text, where that is another."""
        token = f"{self.word}{len(self._slots)}z"
        self._slots[token] = _Slot(value, _as_text(value) if text is None else text)
        return Placeholder(self, token)

    def combined(self, parts: Iterable[Any]) -> Any:
        """The parts printed one after the other: a text, or a placeholder where one is among them."""
        text = "".join(self.shown(part) for part in parts)
        return Placeholder(self, text) if self.word in text else text

    def shown(self, value: Any) -> str:
        """What `{{ value }}` prints: lists and maps as JSON, which is YAML."""
        if isinstance(value, Placeholder):
            return value._text
        if isinstance(value, str):
            return str(value)
        return self._json(value) if isinstance(value, dict | list | tuple | bool | None) else str(value)

    def what(self, placeholder: Placeholder) -> str:
        """Why it is a placeholder, in words."""
        found = [self._slots[token].value for token in self._tokens(placeholder._text)]
        return "secret" if all(has_secret(value) for value in found) else "not known yet"

    def as_json(self, value: Any) -> Any:
        """`tojson`: a text, or a placeholder where one is in the value."""
        if isinstance(value, Placeholder):
            plain = self.value_of(value)
            if isinstance(plain, Unknown):
                return self.placeholder(plain)
            assert isinstance(plain, Secret)
            return self.placeholder(plain, Secret(_dumps(plain.reveal()), plain.label))
        text = self._json(value)
        return Placeholder(self, text) if self.word in text else text

    def _json(self, value: Any) -> str:
        if isinstance(value, Placeholder):
            return self.shown(self.as_json(value))
        if isinstance(value, Mapping):
            pairs = sorted((str(key), inner) for key, inner in value.items()) if len(value) > 1 else value.items()
            return "{" + ", ".join(f"{_dumps(str(key))}: {self._json(inner)}" for key, inner in pairs) + "}"
        if isinstance(value, list | tuple):
            return "[" + ", ".join(self._json(inner) for inner in value) + "]"
        return _dumps(value)

    def lifted(self, function: Callable[..., Any], arguments: Any) -> Any:
        """A placeholder for what a function of plain values gives for these. Raises TemplateRuntimeError."""
        values = [self.value_of(each) for each in placeholders(arguments)]
        unknown = [value for value in values if isinstance(value, Unknown)]
        if unknown:
            needs = frozenset[str]().union(*(value.needs for value in unknown))
            return self.placeholder(Unknown("string", needs, any(has_secret(value) for value in values)))
        try:
            result = function(*_replaced(arguments, lambda each: _plain(self.value_of(each))))
        except Exception:  # noqa: BLE001 - whatever it says, it may hold the secret
            raise TemplateRuntimeError("the filter does not take this secret's value") from None
        label = ", ".join(sorted({value.label for value in values if isinstance(value, Secret)}))
        return self.placeholder(Secret(result, label))

    def value_of(self, placeholder: Placeholder) -> Value:
        """The value that a placeholder stands for: secret or unknown."""
        return self.filled(placeholder._text, alone=True)

    def filled(self, text: str, *, alone: bool) -> Value:
        """A text with the tokens' values in their places; the value itself where the text is one token and `alone`.

        Raises ValueError where a token was changed after it was printed.
        """
        if text in self._slots:
            return self._slots[text].value if alone else self._slots[text].text
        if self.word not in text.lower():
            return text
        parts = re.split(f"({self.word}[0-9]+z)", text)
        values = [self._slots[part].text if part in self._slots else part for part in parts]
        if any(isinstance(part, str) and self.word in part.lower() for part in values):
            raise ValueError("a secret or not yet known value was changed after it was printed")
        unknown = [value for value in values if isinstance(value, Unknown)]
        if unknown:
            needs = frozenset[str]().union(*(value.needs for value in unknown))
            return Unknown("string", needs, any(has_secret(value) for value in values))
        labels = [value.label for value in values if isinstance(value, Secret)]
        return Secret("".join(str(_plain(value)) for value in values), ", ".join(dict.fromkeys(labels)))

    def adopted(self, text: str, other: Slots) -> str:
        """A text with the tokens of another rendering replaced by tokens of this one."""

        def ours(found: re.Match[str]) -> str:
            if (slot := other._slots.get(found[0])) is None:
                return found[0]
            token = f"{self.word}{len(self._slots)}z"
            self._slots[token] = slot
            return token

        return re.sub(f"{other.word}[0-9]+z", ours, text)

    def masked(self, text: str) -> str:
        """A rendered text for a message: tokens as `(secret)` and `(known later)`."""
        return re.sub(f"{self.word}[0-9]+z", lambda found: str(self._slots[found[0]].value), text, flags=re.IGNORECASE)

    def _tokens(self, text: str) -> list[str]:
        return [token for token in re.findall(f"{self.word}[0-9]+z", text) if token in self._slots]


def placeholders(value: Any) -> Iterator[Placeholder]:
    """All placeholders in lists and maps."""
    leaf: Any
    for leaf in leaves(value):
        if isinstance(leaf, Placeholder):
            yield leaf


def _replaced(value: Any, change: Callable[[Placeholder], Any]) -> Any:
    def changed(leaf: Any) -> Any:
        return change(leaf) if isinstance(leaf, Placeholder) else leaf

    return mapped(value, changed)


def _plain(value: Value) -> Any:
    return value.reveal() if isinstance(value, Secret) else value


def _as_text(value: Secret | Unknown) -> Value:
    if isinstance(value, Unknown):
        return Unknown("string", value.needs, value.secret)
    plain = value.reveal()
    text = printed(plain)
    return Secret(_dumps(plain) if text is None else text, value.label)


def _dumps(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
