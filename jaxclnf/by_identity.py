"""What is computed once for an object that never changes, and forgotten with it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class ByIdentity(Generic[K, V]):
    """A function of objects that never change, whose values are kept as long as these live.

    No value may hold its object, which would then live for ever. ``lasting`` tells the objects whose values
    are kept.
    """

    def __init__(self, compute: Callable[[K], V], lasting: Callable[[K], bool] = lambda key: True) -> None:
        self._compute = compute
        self._lasting = lasting
        self._known: dict[int, tuple[weakref.ref[Any], V]] = {}

    def __call__(self, key: K) -> V:
        known = self._known.get(id(key))
        if known is not None and known[0]() is key:
            return known[1]
        value = self._compute(key)
        if self._lasting(key):
            self._known[id(key)] = weakref.ref(key, self._forget(id(key))), value
        return value

    def _forget(self, name: int) -> Callable[[Any], None]:
        return lambda _: self._known.pop(name, None) and None
