"""A batch of faces spread over several devices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Num

from jaxclnf.fit import fit_batch
from jaxclnf.types import FitConfig, FitResult, Model

FACES = "faces"
"""Name of the mesh's only axis."""


def fit_sharded(
    model: Model,
    images: Num[Array | np.ndarray, "n_faces height width"],
    boxes: Float[Array | np.ndarray, "n_faces 4"],
    config: FitConfig | None = None,
    devices: Sequence[Any] | None = None,
) -> FitResult:
    """`jaxclnf.fit_batch` with the faces shared out over ``devices`` of JAX; without them, all it sees.

    Every device runs one device's program on its faces: each sorts its own by view, none waits for another,
    and results stay where they were computed. The devices must divide the number of faces. Several hosts
    call it alike, with arrays that span them: see docs/devices.md.
    """
    devices = tuple(devices or jax.devices())
    if images.ndim != 3 or len(images) != len(boxes) or len(boxes) % len(devices):
        raise ValueError(
            f"expected an image and a box for every face, and {len(devices)} devices to divide them; "
            f"got images {images.shape} and boxes {boxes.shape}"
        )
    fit, split = _compiled(devices)
    model, config = replicate((model, config), devices)
    images, boxes = jax.device_put((images, boxes), split)
    return fit(model, images, boxes, config)


def replicate(tree: Any, devices: Sequence[Any]) -> Any:
    """A PyTree of arrays, whole on every device."""
    mesh = Mesh(np.array(devices), (FACES,))
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


@lru_cache(maxsize=8)
def _compiled(devices: tuple[Any, ...]):
    """The fit of a batch over some devices, and how its images and boxes lie on them."""
    mesh = Mesh(np.array(devices), (FACES,))
    whole, split = PartitionSpec(), PartitionSpec(FACES)
    specs = (whole, split, split, whole)
    fit = jax.shard_map(fit_batch, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False)
    return jax.jit(fit), NamedSharding(mesh, split)
