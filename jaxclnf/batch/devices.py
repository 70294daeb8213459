"""A batch of faces spread over several devices, or over the cores of a processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import lru_cache
from threading import Lock
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Num

from jaxclnf.config import FitConfig
from jaxclnf.cores import n_cores
from jaxclnf.fitting.arguments import check_fit, of_rgb, on_host
from jaxclnf.fitting.fit import Rows, fit_batch, fit_settings
from jaxclnf.forks import refuse_if_inherited
from jaxclnf.types import FitResult, Model

FACES = "faces"
"""Name of the mesh's only axis."""

MOST_FACES = 128
"""Faces that a core fits in one call; more would take more memory and save no time."""

_compiling = Lock()
_compiled_kinds: set[Any] = set()


def fit_sharded(
    model: Model,
    images: Num[Array | np.ndarray, "n_faces height width"] | Rows,
    boxes: Float[Array | np.ndarray, "n_faces 4"] | Rows,
    config: FitConfig | None = None,
    devices: Sequence[Any] | None = None,
) -> FitResult:
    """Fit a batch with its faces divided among ``devices``, by default all that JAX sees.

    Every device runs the same program on its faces: each sorts its own by view, none waits for another, and
    results stay where they were computed. The number of faces must be a multiple of the number of devices.
    Several hosts all make the call, with arrays that span them: see docs/several-devices.md.
    """
    check_fit(model, images, boxes, config)
    return fit_canvases_sharded(model, on_host(images), on_host(boxes), config, devices or jax.devices())


def fit_canvases_sharded(
    model: Model, images: Any, boxes: Any, config: FitConfig | None, devices: Sequence[Any]
) -> FitResult:
    """Do as `fit_sharded`, with images whose grey is known to be from 0 to 255, however dark they are."""
    refuse_if_inherited()
    devices = tuple(devices)
    if not len(images) and not len(boxes):
        return fit_batch(model, images, boxes, config)
    if images.ndim != 3 or len(images) != len(boxes) or len(boxes) % len(devices):
        raise ValueError(
            f"expected an image and a box for every face, in a multiple of {len(devices)} devices; "
            f"got images {images.shape} and boxes {boxes.shape}{of_rgb(images)}"
        )
    fit, split = _compiled(devices)
    model, config = replicate((model, config), devices)
    images, boxes = jax.device_put((images, boxes), split)
    return fit(model, images, boxes, config)


def fit_on_cores(
    model: Model,
    images: Num[Array | np.ndarray, "n_faces height width"] | Rows,
    boxes: Float[Array | np.ndarray, "n_faces 4"] | Rows,
    config: FitConfig | None = None,
    n_parts: int | None = None,
) -> FitResult:
    """Fit a batch with its faces divided among the processor's cores; returns numpy arrays.

    XLA spreads single operations over the cores, which then wait for one another. Parts of the batch that run
    side by side do not: on two cores they take 0.6 of the time. By default there is a part for each core, or
    as many as keep each within `MOST_FACES`.
    """
    if not (n_parts is None or (isinstance(n_parts, int) and n_parts >= 1)):
        raise ValueError(f"n_parts = {n_parts!r:.60}, expected a whole number of at least 1, or None")
    check_fit(model, images, boxes, config)
    images, boxes = on_host(images), on_host(boxes)
    n_faces = len(boxes)
    if not n_faces and not len(images):
        return jax.device_get(fit_batch(model, images, boxes, config))
    if images.ndim != 3 or len(images) != n_faces:
        raise ValueError(
            "expected an image and a box for every face; "
            f"got images {images.shape} and boxes {boxes.shape}{of_rgb(images)}"
        )
    n_parts = n_parts or max(n_cores(), -(-n_faces // MOST_FACES))
    size = -(-n_faces // min(n_parts, n_faces))
    ends = [min(first + size, n_faces) for first in range(0, n_faces, size)]

    def part(end: int) -> FitResult:
        # All parts have one size, and so one compiled program; the last one repeats some faces.
        rows = slice(end - size, end)
        return fit_beside_others(model, images[rows], boxes[rows], config)

    with ThreadPoolExecutor(n_cores()) as pool:
        *parts, last = pool.map(in_this_precision(part), ends)
    last = jax.tree.map(lambda a: a[len(parts) * size - (n_faces - size) :], last)
    return jax.tree.map(lambda *rows: np.concatenate(rows), *parts, last)


def fit_beside_others(model: Model, images: Any, boxes: Any, config: FitConfig | None) -> FitResult:
    """Call `jaxclnf.fit_batch` from one of several threads; returns numpy arrays."""
    return _beside_others(fit_batch.unchecked, model, images, boxes, config)


def fit_settings_on_cores(
    model: Model, photos: Sequence[tuple[Any, Any]], config: FitConfig, changes: dict[str, Any]
) -> list[FitResult]:
    """Call `jaxclnf.fit_settings` for several batches of images and boxes, one on each core at a time."""

    def part(photos: tuple[Any, Any]) -> FitResult:
        return _beside_others(fit_settings.unchecked, model, *photos, config, changes)

    with ThreadPoolExecutor(n_cores()) as pool:
        return list(pool.map(in_this_precision(part), photos))


def in_this_precision(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have other threads call a function with this one's ``jax.enable_x64``, which JAX keeps for a thread."""
    wide = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]

    def called(*arguments: Any) -> Any:
        with jax.enable_x64(wide):
            return function(*arguments)

    return called


def _beside_others(fit: Callable[..., FitResult], model: Model, images: Any, *rest: Any) -> FitResult:
    """Call ``fit``; the first call of a kind runs alone, since others would compile the same program."""
    refuse_if_inherited()
    sizes = [np.shape(a) for a in jax.tree.leaves(rest)]
    kind = fit, jax.tree.structure((model, *rest)), images.shape, images.dtype, *sizes
    with nullcontext() if kind in _compiled_kinds else _compiling:
        result = jax.device_get(fit(model, images, *rest))
    _compiled_kinds.add(kind)
    return result


def replicate(tree: Any, devices: Sequence[Any]) -> Any:
    """Copy a PyTree of arrays to every device."""
    mesh = Mesh(np.array(devices), (FACES,))
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


@lru_cache(maxsize=8)
def _compiled(devices: tuple[Any, ...]):
    """Compile the fit of a batch over some devices; returns it and the sharding of its images and boxes."""
    mesh = Mesh(np.array(devices), (FACES,))
    whole, split = PartitionSpec(), PartitionSpec(FACES)
    specs = (whole, split, split, whole)
    fit = jax.shard_map(fit_batch, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False)
    return jax.jit(fit), NamedSharding(mesh, split)
