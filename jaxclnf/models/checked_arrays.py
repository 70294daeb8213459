"""Arrays for a dataclass, checked against the shapes and dtypes of its annotations."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, get_type_hints

import numpy as np

from jaxclnf.models.memory_budget import Budget


def checked_fields(
    cls: type,
    name: str,
    arrays: Mapping[str, Any],
    sizes: Mapping[str, int],
    dtype: np.dtype,
    budget: Budget,
    without: Collection[str] = (),
) -> dict[str, Any]:
    """Check arrays for a dataclass's fields; floats become ``dtype``, ``sizes`` has known dimensions.

    Raises ValueError, beginning with ``name``, if an array has another shape or dtype than annotated, is not
    finite, or does not agree with another about a dimension.
    """
    known, found = {"3": 3, **sizes}, {}
    for key, hint in get_type_hints(cls).items():
        if key in without:
            continue
        array, dims = np.asarray(arrays[key]), hint.dim_str.split()
        fits = len(dims) == array.ndim and array.dtype.name in hint.dtypes
        if not fits or any(known.setdefault(d, n) != n for d, n in zip(dims, array.shape, strict=True)):
            raise ValueError(
                f"{name}/{key}: {array.dtype} of shape {array.shape}, expected [{hint.dim_str}], {known}"
            )
        found[key] = array if array.dtype == bool else finite(f"{name}/{key}", array, dtype, budget)
    return found


def finite(name: str, array: np.ndarray, dtype: np.dtype, budget: Budget) -> np.ndarray:
    """Convert an array to ``dtype``; raises ValueError if it is not finite there."""
    budget.take(array.size * dtype.itemsize, name)
    with np.errstate(over="ignore"):
        array = array.astype(dtype)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds numbers that are not finite in {dtype}")
    return array
