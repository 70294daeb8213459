"""Faces of any number on photos of any size, fitted in batches of a few compiled shapes.

Host code: each face's surroundings are cut out onto a square canvas, canvases of one size are fitted
together, and results come back in order, in the photos' own pixels.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxclnf.batch.canvas import MARGIN, MIN_SIDE, Canvas, cut, usual_side
from jaxclnf.batch.cores import n_cores
from jaxclnf.batch.devices import fit_beside_others, fit_sharded, replicate
from jaxclnf.batch.forked import fit_elsewhere, is_inherited
from jaxclnf.batch.pipeline import ahead
from jaxclnf.cache import keep
from jaxclnf.config import FitConfig
from jaxclnf.fitting.fit import box_status, fit_batch
from jaxclnf.ops.rotation import euler_to_matrix, matrix_to_euler
from jaxclnf.types import FitResult, Model, PartFit, Status

Fit = TypeVar("Fit", FitResult, PartFit)

IN_FLIGHT = 2
"""Batches computed while the next ones are prepared; on a CPU as many as it has cores, up to `MOST`."""

MOST = 8


class Limits(NamedTuple):
    """Batch sizes that get compiled, and the bytes of canvases one batch may hold, on each device."""

    sizes: tuple[int, ...]
    canvas_bytes: int


CPU_LIMITS = Limits((1, 8, 32), 1 << 26)
ACCELERATOR_LIMITS = Limits((1, 16, 256, 4096), 1 << 30)


class PlacedFace(NamedTuple):
    """One face to fit: its place in the order, its canvas, and how to come back from it."""

    index: int
    canvas: Canvas
    box: np.ndarray  # x, y, w, h in the photo
    photo_size: np.ndarray  # width, height


def fit_faces(
    model: Model,
    images: Sequence[np.ndarray],
    boxes: Sequence[np.ndarray] | np.ndarray,
    config: FitConfig | None = None,
) -> FitResult:
    """Fit faces on photos of any sizes; returns a `FitResult` of numpy arrays, one row a face.

    ``images`` are grey (height, width), 0..255; ``boxes[i]`` holds the box of image i's face (4,) or
    those of its faces (k, 4): x, y, width, height in pixels, and in a fifth column, if there is one, by how
    much they are turned clockwise about their middles, in radians. Rows follow the images, then their boxes.
    """
    if len(images) != len(boxes):
        raise ValueError(f"expected boxes for every image; got {len(images)} images and {len(boxes)} boxes")
    pairs = [(image, box) for image, rows in zip(images, boxes, strict=True) for box in np.atleast_2d(rows)]
    if not pairs:
        nothing = np.zeros((0, MIN_SIDE, MIN_SIDE), np.uint8), np.zeros((0, 4), np.float32)
        return jax.device_get(fit_batch(model, *nothing, config))
    results = fit_stream(model, pairs, config)
    return jax.tree.map(lambda *rows: np.stack(rows), *results)


def fit_stream(
    model: Model,
    faces: Iterable[tuple[np.ndarray, np.ndarray]],
    config: FitConfig | None = None,
) -> Iterator[FitResult]:
    """Fit pairs of a grey image and a box as they come; yields one `FitResult` a face, in order.

    Memory stays bounded however many there are: a batch starts once it is full, and nothing waits
    for long. Where JAX sees several devices on this host, they share every batch. A pair of other
    shapes, or an error of ``faces``, is raised after the results of all faces before it.
    """
    if is_inherited():
        yield from fit_elsewhere(model, faces, config)
        return
    devices = jax.local_devices()
    place = partial(replicate, devices=devices) if len(devices) > 1 else jax.device_put
    reduced = reduction_by(model, _settings(model, config))
    model, config = place((model, config))
    limits, errors = _limits(devices), []
    done: dict[int, FitResult] = {}
    following = 0
    batches = _batches(_placed(faces, reduced, errors), limits)
    for batch, result in _overlapped(batches, model, config, limits, in_flight(devices)):
        done.update(_finish(batch, result))
        while following in done:
            yield done.pop(following)
            following += 1
    if errors:
        raise errors[0]


def _settings(model: Model, config: FitConfig | None) -> FitConfig:
    return model.settings if config is None else config


def _placed(
    faces: Iterable[tuple[np.ndarray, np.ndarray]],
    reduced: Callable[[np.ndarray], float],
    errors: list[Exception],
) -> Iterator[PlacedFace]:
    """Every face on its canvas, up to the first that cannot be; why not is added to ``errors``."""
    try:
        for i, (image, box) in enumerate(faces):
            yield _on_canvas(i, np.asarray(image), np.asarray(box), reduced)
    except Exception as error:  # whatever the caller's iterator raises
        errors.append(error)


def _limits(devices: Sequence[Any]) -> Limits:
    each, n = CPU_LIMITS if devices[0].platform == "cpu" else ACCELERATOR_LIMITS, len(devices)
    return Limits(tuple(n * size for size in each.sizes), n * each.canvas_bytes)


def _overlapped(batches, model, config, limits, n):
    """Batches with their results, a few of them computed side by side."""

    def fitted(batch):
        return batch, _fit(model, batch, config, limits)

    return ahead(fitted, batches, workers=n, depth=n + 1)


def in_flight(devices: Sequence[Any]) -> int:
    """Batches that are computed side by side."""
    return max(IN_FLIGHT, min(n_cores(), MOST)) if devices[0].platform == "cpu" else IN_FLIGHT


def reduction_by(model: Model, config: FitConfig) -> Callable[[np.ndarray], float]:
    """Function from a face's box to the factor by which settings have it reduced."""
    mean_size = np.ptp(np.asarray(model.pdm.mean)[:, :2], axis=0)
    return partial(reduction, mean_size, config.resolution)


def reduction(mean_size: np.ndarray, resolution: float, box: np.ndarray) -> float:
    """Factor that leaves a face at most ``resolution`` pixels a model unit; 1 where that is 0.

    ``mean_size`` is the mean face's width and height in model units.
    """
    pixels = float(np.mean(box[2:4] / mean_size))
    return min(1.0, resolution / pixels) if resolution and pixels > 0 else 1.0


def _on_canvas(
    index: int, image: np.ndarray, box: np.ndarray, reduced: Callable[[np.ndarray], float]
) -> PlacedFace:
    least = MIN_SIDE / (MARGIN * max(image.shape))  # of a face that fills its photo, and more
    return surroundings(index, image, box, reduction=max(reduced(_numbers(box)), min(least, 1.0)))


def surroundings(
    index: int, image: np.ndarray, box: np.ndarray, side: int | None = None, reduction: float = 1.0
) -> PlacedFace:
    """Cut a face's surroundings out of its photo, onto a canvas of ``side`` or of what suits the box."""
    if image.ndim != 2 or 0 in image.shape or box.shape not in ((4,), (5,)):
        raise ValueError(
            "expected a grey image (height, width) and a box (x, y, width, height); "
            f"got an image of shape {image.shape} and a box of shape {box.shape}"
        )
    with np.errstate(over="ignore"):  # beyond float32 a size is infinite, which is no box
        own = box[:4].astype(np.float32).astype(np.float64)
    # An invalid box takes part as zeros; the status of its result tells that it is invalid.
    roll = float(_numbers(box)[4]) if len(box) == 5 else 0.0
    usable = _numbers(own)
    canvas = cut(image, usable, roll, side or usual_side(image, usable, reduction), reduction)
    return PlacedFace(index, canvas, own, np.array(image.shape[::-1]))


def _numbers(box: np.ndarray) -> np.ndarray:
    return np.nan_to_num(box.astype(np.float64), posinf=0, neginf=0)


def canvas_side(image: np.ndarray, box: np.ndarray, reduction: float = 1.0) -> int:
    """Side of the canvas that holds a face's surroundings, ``reduction`` times as large as in the photo."""
    return usual_side(image, _numbers(box), reduction)


def _batches(faces: Iterable[PlacedFace], limits: Limits) -> Iterator[list[PlacedFace]]:
    """Faces whose canvases are alike, as many as a batch holds or as are left."""
    waiting: dict[tuple, list[PlacedFace]] = defaultdict(list)
    for n_seen, face in enumerate(faces, start=1):
        alike = waiting[face.canvas.pixels.shape, face.canvas.pixels.dtype.str]
        alike.append(face)
        if len(alike) >= _sizes(face, limits)[-1]:
            yield list(alike)
            alike.clear()
        if n_seen % (4 * limits.sizes[-1]) == 0:
            yield from _leftovers(waiting, limits)
    yield from _leftovers(waiting, limits)


def _leftovers(waiting: dict[tuple, list[PlacedFace]], limits: Limits) -> Iterator[list[PlacedFace]]:
    """Batches of all faces that still wait, full or nearly so."""
    for alike in waiting.values():
        while alike:
            size = _padded_size(len(alike), _sizes(alike[0], limits))
            smaller = [s for s in _sizes(alike[0], limits) if s <= len(alike)]
            n = len(alike) if 4 * len(alike) >= 3 * size or not smaller else smaller[-1]
            yield alike[:n]
            del alike[:n]


def _sizes(face: PlacedFace, limits: Limits) -> list[int]:
    """The batch sizes that canvases like this face's may have."""
    least, *others = limits.sizes
    return [least, *(s for s in others if s * face.canvas.pixels.nbytes <= limits.canvas_bytes)]


def _padded_size(n: int, sizes: Sequence[int]) -> int:
    return next((s for s in sizes if s >= n), sizes[-1])


def _fit(model: Model, batch: list[PlacedFace], config: FitConfig | None, limits: Limits) -> FitResult:
    """A batch's fits, as numpy arrays; places beyond the batch repeat its last face."""
    size = _padded_size(len(batch), _sizes(batch[0], limits))
    filled = batch + batch[-1:] * (size - len(batch))
    canvases = np.stack([face.canvas.pixels for face in filled])
    with np.errstate(invalid="ignore"):  # what is no box stays none
        boxes = np.stack([face.canvas.box(face.box) for face in filled])
    arguments = model, canvases, boxes.astype(np.float32), config
    devices = jax.local_devices()
    if len(devices) > 1:
        return jax.device_get(fit_sharded(*arguments, devices))
    return fit_beside_others(*arguments)


def _finish(batch: list[PlacedFace], result: FitResult) -> Iterator[tuple[int, FitResult]]:
    """Each face's index and result, in its photo's pixels."""
    for i, face in enumerate(batch):
        own = jax.tree.map(lambda a, i=i: a[i], result)
        of_box = box_status(face.box, face.photo_size)
        status = own.status if of_box == Status.OK else of_box
        yield face.index, replace(in_photo(face.canvas, own), status=status)


def in_photo(canvas: Canvas, found: FitResult) -> FitResult:
    """A fit and its parts in a face's photo, by those on its canvas."""
    parts = {name: _in_photo(canvas, part) for name, part in found.parts.items()}
    return replace(_in_photo(canvas, found), parts=parts)


def _in_photo(canvas: Canvas, found: Fit) -> Fit:
    params, landmarks = found.params, np.asarray(found.landmarks)
    dtype = landmarks.dtype
    rotation = _turned(params.rotation, np.asarray(canvas.roll, dtype)) if canvas.roll else params.rotation
    translation = canvas.in_photo(np.asarray(params.translation)).astype(dtype)
    scale = np.asarray(params.scale / canvas.scale, dtype)
    moved = replace(params, scale=scale, rotation=np.asarray(rotation), translation=translation)
    return replace(found, landmarks=canvas.in_photo(landmarks).astype(dtype), params=moved)


@keep
def _turned(
    rotation: Float[Array | np.ndarray, "3"], roll: Float[Array | np.ndarray, ""]
) -> Float[Array, "3"]:
    """Euler angles of a head that is turned by ``roll`` in the image plane."""
    in_plane = euler_to_matrix(jnp.stack([jnp.zeros_like(roll), jnp.zeros_like(roll), jnp.asarray(roll)]))
    return matrix_to_euler(in_plane @ euler_to_matrix(jnp.asarray(rotation)))
