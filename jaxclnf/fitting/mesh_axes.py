"""Arrays spread over meshes with explicit axes, JAX's default, over which fits are not written out."""

from __future__ import annotations

from typing import Any

import jax
from jax.core import Tracer
from jax.sharding import AxisType, Mesh, NamedSharding


def on_auto_axes(tree: Any) -> Any:
    """Place a PyTree's arrays, where they are, on meshes whose axes XLA looks after; tracers stay."""
    return jax.tree.map(_on_auto_axes, tree)


def _on_auto_axes(array: Any) -> Any:
    if not is_explicit(array):
        return array
    mesh, spec = array.sharding.mesh, array.sharding.spec
    auto = Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))
    return jax.device_put(array, NamedSharding(auto, spec))


def is_explicit(array: Any) -> bool:
    """Tell an array that lies on a mesh with explicit axes."""
    if not isinstance(array, jax.Array) or isinstance(array, Tracer):
        return False
    sharding = array.sharding
    return isinstance(sharding, NamedSharding) and AxisType.Explicit in sharding.mesh.axis_types
