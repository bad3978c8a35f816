"""Where in an object a comparison is: who owns what there, how a person names it, and what must not be seen. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.model.observation import Difference
from orchestrator.model.values import Secret, Unknown, Value, leaves, mapped
from orchestrator.modes.agile.diff import fields
from orchestrator.modes.agile.diff.fields import Owned
from orchestrator.modes.agile.diff.immutable import is_immutable
from orchestrator.modes.agile.objects import MANAGER, Object


@dataclass(frozen=True, slots=True)
class Masks:
    """Which values must not be seen; `all_text`: none of the object's data."""

    secret: Callable[[str], bool]
    all_text: bool

    def hide(self, value: Any, path: Sequence[str], *, anyway: bool) -> Value:
        """The value with its secret leaves as Secrets."""
        whole = anyway or (self.all_text and path[0] in ("data", "stringData"))

        def leaf(one: Value) -> Any:
            if isinstance(one, Secret | Unknown) or one is None:
                return one
            return Secret(one) if whole or (isinstance(one, str) and self.secret(one)) else one

        hidden: Value = mapped(value, leaf)
        return hidden


@dataclass(frozen=True, slots=True)
class Point:
    """Where in the object we are.

    names  the field names, list items left out: what the rules for fields go by
    path   the same for a person, as `spec.containers[web].image`
    owned  who owns what from here on
    """

    live: Object
    masks: Masks
    owned: tuple[Owned, ...]
    names: tuple[str, ...] = ()
    path: str = ""
    steps: tuple[str, ...] = ()

    def field(self, name: str) -> Point:
        """The same for one field of a map."""
        simple = name.replace("-", "").replace("_", "").isalnum()
        path = f"{self.path}.{name}" if simple and self.path else name if simple else f"{self.path}[{name}]"
        owned = fields.below(self.owned, f"f:{name}")
        return replace(self, owned=owned, names=(*self.names, name), path=path, steps=(*self.steps, name))

    def item(self, label: str, owned: tuple[Owned, ...] = ()) -> Point:
        """The same for one item of a list."""
        return replace(self, owned=owned, path=f"{self.path}[{label}]", steps=(*self.steps, label))

    @property
    def ours(self) -> bool:
        """Whether we applied this field and nobody has taken it since."""
        return any(one.ours for one in self.owned)

    def difference(self, old: Any, new: Value, *, hidden: bool = False) -> Difference:
        """What is and what should be here; `hidden` masks both, as a secret in `new` does."""
        hidden = hidden or any(isinstance(leaf, Secret) for leaf in leaves(new))
        others = [one.manager for one in self.owned if not one.ours and one.manager != MANAGER]
        return Difference(
            path=self.path,
            old=self.masks.hide(old, self.names, anyway=hidden),
            new=self.masks.hide(new, self.names, anyway=hidden),
            by=others[-1] if others and not self.ours else "",
            replace=is_immutable(self.live, self.steps),
            since=fields.since(self.live, self.owned) if others and not self.ours else None,
        )
