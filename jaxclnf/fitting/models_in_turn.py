"""An axis of `jax.vmap` that many models lie along: the maps of one after the other are computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def in_turn(function: Callable, n: int, batched: Any, *arguments: Any) -> tuple[Any, Any]:
    """Call a function for each of ``n`` entries, as a rule of `jax.custom_batching.custom_vmap`.

    ``batched`` says which leaves of the arguments have the axis.
    """
    leaves, structure = jax.tree.flatten(arguments)
    mapped = jax.tree.leaves(batched)

    def of_entry(i: Any) -> Any:
        own = [a[i] if has_axis else a for a, has_axis in zip(leaves, mapped, strict=True)]
        return function(*jax.tree.unflatten(structure, own))

    found = jax.lax.map(of_entry, jnp.arange(n, dtype=jnp.int32))
    return found, jax.tree.map(lambda _: True, found)
