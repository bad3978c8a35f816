"""What was computed from a blueprint's files is kept: a command resolves several times, mostly from the same values."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

from orchestrator.model.values import Value

_MAX_RESULTS = 4096  # of one blueprint: workloads, times the sites whose values differ

T = TypeVar("T")


class Kept(Generic[T]):
    """Results by what they were computed from; nobody changes them."""

    def __init__(self) -> None:
        self._results: dict[Hashable, T] = {}

    def of(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result for a key, computed if it is not there."""
        found = self._results.get(key)
        if found is None:
            found = make()
            if len(self._results) >= _MAX_RESULTS:
                self._results.clear()
            self._results[key] = found
        return found


def frozen(value: Value) -> Hashable:
    """A value as a key: equal only for what prints the same, so that 1, 1.0 and true are three."""
    if isinstance(value, Mapping):
        return dict, tuple((name, frozen(inner)) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return list, tuple(frozen(inner) for inner in value)
    return type(value), value
