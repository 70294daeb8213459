"""Frozen dataclasses that JAX sees into: every field a leaf, but for those marked static.

They are equal where their structures and all their arrays are, and say in one line what is in them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, dataclass_transform

import jax
import numpy as np
from jax.core import Tracer

_SHOWN = 16
"""Numbers of an array that is shown by its values; larger ones are shown by their type and shape."""


def static(**options) -> Any:
    """Declare a field of a `pytree` that is part of its structure, not a leaf."""
    return field(metadata={"static": True}, **options)


@dataclass_transform(frozen_default=True, field_specifiers=(field, static))
def pytree(cls):
    """Register a frozen dataclass with JAX; fields made by `static` go into the tree's structure."""
    cls.__eq__, cls.__hash__ = same, None
    if "__repr__" not in vars(cls):
        cls.__repr__ = brief
    return jax.tree_util.register_dataclass(dataclass(frozen=True, eq=False, repr=False)(cls))


def same(tree: object, other: object) -> bool:
    """Tell whether two trees of one class have the same structure and numbers, where NaN is like NaN.

    Arrays of NumPy and JAX, and of several precisions, are compared by their values.
    """
    if tree is other:
        return True
    if type(tree) is not type(other):
        return NotImplemented
    leaves, structure = jax.tree.flatten(tree)
    others, others_structure = jax.tree.flatten(other)
    return structure == others_structure and all(map(_equal, leaves, others))


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, jax.ShapeDtypeStruct) or isinstance(b, jax.ShapeDtypeStruct):
        return a == b
    a, b = np.asarray(a), np.asarray(b)
    with_nan = np.issubdtype(a.dtype, np.floating) and np.issubdtype(b.dtype, np.floating)
    return np.array_equal(a, b, equal_nan=with_nan)


def no_tracers(tree: Any) -> bool:
    """Tell whether JAX traces nothing in a PyTree: what it does has no numbers and may not leave."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))


def brief(tree: Any) -> str:
    """Describe a dataclass in one line: small arrays by their values, others by their type and shape."""
    shown = ((f.name, getattr(tree, f.name)) for f in fields(tree) if f.repr)
    return f"{type(tree).__name__}({', '.join(f'{name}={_shown(value)}' for name, value in shown)})"


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return _values(np.asarray(value)) if _is_small_and_here(value) else _kind(value)
    if isinstance(value, jax.ShapeDtypeStruct):
        return _kind(value)
    if type(value) is dict:
        return "{" + ", ".join(f"{key!r}: {_shown(part)}" for key, part in value.items()) + "}"
    if type(value) is tuple:
        return "(" + ", ".join(map(_shown, value)) + ("," if len(value) == 1 else "") + ")"
    return repr(value)


def _is_small_and_here(array: Any) -> bool:
    if array.size > _SHOWN or isinstance(array, Tracer):
        return False
    return not isinstance(array, jax.Array) or (array.is_fully_addressable and not array.is_deleted())


def _values(array: np.ndarray) -> str:
    if array.ndim:
        return f"[{', '.join(map(_values, array))}]"
    return f"{float(array):.6g}" if np.issubdtype(array.dtype, np.floating) else str(array)


def _kind(array: Any) -> str:
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"
