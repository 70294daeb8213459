"""Faces of any number on photos of any size, fitted in batches of a few compiled shapes.

Host code: each face's surroundings are cut out onto a square canvas, canvases of one size are fitted
together, and results come back in order, in the photos' own pixels.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclnf.batch.devices import fit_beside_others, fit_sharded, n_cores, replicate
from jaxclnf.batch.pipeline import ahead
from jaxclnf.fitting.fit import box_status
from jaxclnf.types import FitConfig, FitResult, Model, Status

MIN_CANVAS = 256
MARGIN = 2.6
"""Side of the canvas in sizes of the box: room for turned heads and the widest response maps."""

IN_FLIGHT = 2
"""Batches computed while the next ones are prepared; on a CPU as many as it has cores, up to `MOST`."""

MOST = 8


class Limits(NamedTuple):
    """Batch sizes that get compiled, and the bytes of canvases one batch may hold, on each device."""

    sizes: tuple[int, ...]
    canvas_bytes: int


CPU_LIMITS = Limits((1, 8, 32), 1 << 26)
ACCELERATOR_LIMITS = Limits((1, 16, 256, 4096), 1 << 30)


class Face(NamedTuple):
    """One face to fit: its place in the order, its canvas, and how to come back from it."""

    index: int
    canvas: np.ndarray  # (side, side)
    corner: np.ndarray  # x, y of the canvas in the photo
    box: np.ndarray  # in the photo
    photo_size: np.ndarray  # width, height


def fit_faces(
    model: Model,
    images: Sequence[np.ndarray],
    boxes: Sequence[np.ndarray] | np.ndarray,
    config: FitConfig | None = None,
) -> FitResult:
    """Fit faces on photos of any sizes; returns a `FitResult` of numpy arrays, one row a face.

    ``images`` are grey (height, width), 0..255; ``boxes[i]`` holds the box of image i's face (4,) or
    those of its faces (k, 4): x, y, width, height in pixels. Rows follow the images, then their boxes.
    """
    if len(images) != len(boxes):
        raise ValueError(f"expected boxes for every image; got {len(images)} images and {len(boxes)} boxes")
    pairs = [(image, box) for image, rows in zip(images, boxes, strict=True) for box in np.atleast_2d(rows)]
    if not pairs:
        raise ValueError("expected at least one box; got none")
    results = fit_stream(model, pairs, config)
    return jax.tree.map(lambda *rows: np.stack(rows), *results)


def fit_stream(
    model: Model,
    faces: Iterable[tuple[np.ndarray, np.ndarray]],
    config: FitConfig | None = None,
) -> Iterator[FitResult]:
    """Fit pairs of a grey image and a box as they come; yields one `FitResult` a face, in order.

    Memory stays bounded however many there are: a batch starts once it is full, and nothing waits
    for long. Where JAX sees several devices on this host, they share every batch.
    """
    devices = jax.local_devices()
    place = partial(replicate, devices=devices) if len(devices) > 1 else jax.device_put
    model, config = place((model, config))
    limits = _limits(len(devices))
    placed = (surroundings(i, np.asarray(image), np.asarray(box)) for i, (image, box) in enumerate(faces))
    done: dict[int, FitResult] = {}
    following = 0
    for batch, result in _overlapped(_batches(placed, limits), model, config, limits):
        done.update(_finish(batch, result))
        while following in done:
            yield done.pop(following)
            following += 1


def _limits(n_devices: int) -> Limits:
    each = CPU_LIMITS if jax.default_backend() == "cpu" else ACCELERATOR_LIMITS
    return Limits(tuple(n_devices * size for size in each.sizes), n_devices * each.canvas_bytes)


def _overlapped(batches, model, config, limits):
    """Batches with their results, a few of them computed side by side."""

    def fitted(batch):
        return batch, _fit(model, batch, config, limits)

    n = in_flight()
    return ahead(fitted, batches, workers=n, depth=n + 1)


def in_flight() -> int:
    """Batches that are computed side by side."""
    return max(IN_FLIGHT, min(n_cores(), MOST)) if jax.default_backend() == "cpu" else IN_FLIGHT


def surroundings(index: int, image: np.ndarray, box: np.ndarray, side: int | None = None) -> Face:
    """Cut a face's surroundings out of its photo, onto a canvas of ``side`` or of what suits the box."""
    if image.ndim != 2 or 0 in image.shape or box.shape != (4,):
        raise ValueError(
            "expected a grey image (height, width) and a box (x, y, width, height); "
            f"got an image of shape {image.shape} and a box of shape {box.shape}"
        )
    with np.errstate(over="ignore"):  # beyond float32 a size is infinite, which is no box
        box = box.astype(np.float32).astype(np.float64)
    photo_size = np.array(image.shape[::-1])
    # A box that is none is fitted for nothing; its status says so.
    x, y, w, h = np.nan_to_num(box, posinf=0, neginf=0)
    side = side or canvas_side(image, box)
    centre = np.clip([x + w / 2, y + h / 2], 0, photo_size)
    corner = np.clip(np.round(centre - side / 2), 0, np.maximum(photo_size - side, 0)).astype(int)
    crop = image[corner[1] : corner[1] + side, corner[0] : corner[0] + side]
    # Beyond the photo its border goes on, as it does for the patch sampler.
    canvas = np.pad(crop, [(0, side - n) for n in crop.shape], mode="edge")
    canvas = canvas if canvas.dtype == np.uint8 else canvas.astype(np.float32)
    return Face(index, canvas, corner, box, photo_size)


def canvas_side(image: np.ndarray, box: np.ndarray) -> int:
    """Side of the canvas that holds a face's surroundings, one of a few sizes."""
    at_least = min(MARGIN * max(np.nan_to_num(box[2:], posinf=0, neginf=0)), max(image.shape))
    side = MIN_CANVAS
    while side < at_least:
        side *= 2
    return side


def _batches(faces: Iterable[Face], limits: Limits) -> Iterator[list[Face]]:
    """Faces whose canvases are alike, as many as a batch holds or as are left."""
    waiting: dict[tuple, list[Face]] = defaultdict(list)
    for n_seen, face in enumerate(faces, start=1):
        alike = waiting[face.canvas.shape, face.canvas.dtype.str]
        alike.append(face)
        if len(alike) >= _sizes(face, limits)[-1]:
            yield list(alike)
            alike.clear()
        if n_seen % (4 * limits.sizes[-1]) == 0:
            yield from _leftovers(waiting, limits)
    yield from _leftovers(waiting, limits)


def _leftovers(waiting: dict[tuple, list[Face]], limits: Limits) -> Iterator[list[Face]]:
    """Everything that waits, in batches that are full or nearly so."""
    for alike in waiting.values():
        while alike:
            size = _padded_size(len(alike), _sizes(alike[0], limits))
            smaller = [s for s in _sizes(alike[0], limits) if s <= len(alike)]
            n = len(alike) if 4 * len(alike) >= 3 * size or not smaller else smaller[-1]
            yield alike[:n]
            del alike[:n]


def _sizes(face: Face, limits: Limits) -> list[int]:
    """The batch sizes that canvases like this face's may have."""
    least, *others = limits.sizes
    return [least, *(s for s in others if s * face.canvas.nbytes <= limits.canvas_bytes)]


def _padded_size(n: int, sizes: Sequence[int]) -> int:
    return next((s for s in sizes if s >= n), sizes[-1])


def _fit(model: Model, batch: list[Face], config: FitConfig | None, limits: Limits) -> FitResult:
    """A batch's fits, as numpy arrays; places beyond the batch repeat its last face."""
    size = _padded_size(len(batch), _sizes(batch[0], limits))
    filled = batch + batch[-1:] * (size - len(batch))
    canvases = np.stack([face.canvas for face in filled])
    boxes = np.stack([np.concatenate([face.box[:2] - face.corner, face.box[2:]]) for face in filled])
    arguments = model, canvases, boxes.astype(np.float32), config
    devices = jax.local_devices()
    if len(devices) > 1:
        return jax.device_get(fit_sharded(*arguments, devices))
    return fit_beside_others(*arguments)


def _finish(batch: list[Face], result: FitResult) -> Iterator[tuple[int, FitResult]]:
    """Each face's index and result, in its photo's pixels."""
    boxes = jnp.array([face.box for face in batch], jnp.float32)
    photo_sizes = jnp.array([face.photo_size for face in batch], jnp.float32)
    statuses = np.asarray(jax.vmap(box_status)(boxes, photo_sizes))
    for i, face in enumerate(batch):
        own = jax.tree.map(lambda a, i=i: a[i], result)
        params = replace(own.params, translation=own.params.translation + face.corner)
        status = own.status if statuses[i] == Status.OK else statuses[i]
        yield face.index, replace(own, landmarks=own.landmarks + face.corner, params=params, status=status)
