"""Frozen dataclasses that JAX sees into: every field a leaf, but for those marked static."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, dataclass_transform

import jax


def static(**options) -> Any:
    """Declare a field of a `pytree` that is part of its structure, not a leaf."""
    return field(metadata={"static": True}, **options)


@dataclass_transform(frozen_default=True, field_specifiers=(field, static))
def pytree(cls):
    """Register a frozen dataclass with JAX; fields made by `static` go into the tree's structure."""
    return jax.tree_util.register_dataclass(dataclass(frozen=True)(cls))
