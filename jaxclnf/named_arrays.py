"""Named tuples that hold arrays: a tuple's own ``==`` raises for them, since arrays have no truth value."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T", bound=tuple)


def compared_by_numbers(cls: type[T]) -> type[T]:
    """Let named tuples of a class be equal where all their numbers are, as dataclasses of `pytrees` are.

    NaN is like NaN, and those of other classes are not equal. As arrays, they have no hash.
    """
    cls.__eq__, cls.__ne__, cls.__hash__ = _equal, _differ, None  # pyright: ignore
    return cls


def _equal(one: tuple, other: object) -> bool:
    from jaxclnf.pytrees import same  # imports JAX, which is slow and detectors do without

    return same(one, other) is True


def _differ(one: tuple, other: object) -> bool:
    return not _equal(one, other)
