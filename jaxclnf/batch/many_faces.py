"""Fitting any number of faces on photos of any size, in batches of a few compiled shapes.

Host code: each face's surroundings are cut out onto a square canvas, canvases of one size are fitted
together, and results come back in order, in the photos' own pixels.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxclnf.batch.box_rows import box_rows
from jaxclnf.batch.canvas import MIN_SIDE, Canvas
from jaxclnf.batch.devices import (
    fit_beside_others,
    fit_canvases_sharded,
    in_this_precision,
    replicate,
)
from jaxclnf.batch.doubtful_fits import looks_again, with_second_looks
from jaxclnf.batch.face_batches import Limits, in_batches, limits_of, padded_size, sizes_for
from jaxclnf.batch.forked import fit_elsewhere
from jaxclnf.batch.overlap import ahead
from jaxclnf.batch.placed_faces import PlacedFace, in_photo, on_canvas
from jaxclnf.batch.reductions import reduction_by
from jaxclnf.config import FitConfig
from jaxclnf.cores import n_cores
from jaxclnf.fitting.arguments import check_kinds
from jaxclnf.fitting.box_starts import box_status
from jaxclnf.fitting.fit import fit_batch
from jaxclnf.fitting.grey_range import is_bright
from jaxclnf.forks import is_inherited
from jaxclnf.types import FitResult, Model, Status

IN_FLIGHT = 2
"""Batches computed while the next ones are prepared; on a CPU one for each core, up to `MOST`."""
MOST = 8


def fit_faces(
    model: Model,
    images: Sequence[np.ndarray],
    boxes: Sequence[np.ndarray] | np.ndarray,
    config: FitConfig | None = None,
) -> FitResult:
    """Fit faces on photos of any sizes; returns a `FitResult` of numpy arrays, one row a face.

    ``images`` are grey (height, width), 0..255 (if none is brighter than 1, a ValueError refuses fractions);
    ``boxes[i]`` holds the box of image i's face (4,) or those of its faces (k, 4): x, y, width, height in
    pixels; an optional fifth column is their clockwise rotation about their middles, in radians. Rows follow
    the images, then their boxes.
    """
    check_kinds(model, config)
    check_sequences(images, boxes)
    return _fit_faces(model, images, boxes, config, any(map(is_bright, images)))


def fit_known_faces(model: Model, images: Any, boxes: Any, config: FitConfig | None) -> FitResult:
    """Do as `fit_faces`, with images whose grey is known to be from 0 to 255, however dark they are."""
    return _fit_faces(model, images, boxes, config, range_known=True)


def _fit_faces(
    model: Model, images: Any, boxes: Any, config: FitConfig | None, range_known: bool
) -> FitResult:
    pairs = [(image, box) for image, rows in zip(images, boxes, strict=True) for box in box_rows(rows)]
    if not pairs:
        nothing = np.zeros((0, MIN_SIDE, MIN_SIDE), np.uint8), np.zeros((0, 4), np.float32)
        return jax.device_get(fit_batch(model, *nothing, config))
    results = stream(model, pairs, config, range_known)
    return jax.tree.map(lambda *rows: np.stack(rows), *results)


def check_sequences(images: Any, boxes: Any) -> None:
    """Raise ValueError unless there are sequences of as many images as boxes."""
    if not hasattr(images, "__len__") or not hasattr(boxes, "__len__"):
        raise ValueError(
            "expected sequences of images and boxes; fit_stream takes pairs of them as they come"
        )
    if len(images) and np.ndim(images[0]) == 1:
        raise ValueError("expected a sequence of images; got one alone: give [image] and [boxes]")
    if len(images) != len(boxes):
        raise ValueError(f"expected boxes for every image; got {len(images)} images and {len(boxes)} boxes")


def fit_stream(
    model: Model,
    faces: Iterable[tuple[np.ndarray, np.ndarray]],
    config: FitConfig | None = None,
) -> Iterator[FitResult]:
    """Fit pairs of a grey image and a box as they come; yields a `FitResult` for each face, in order.

    Memory stays bounded however many there are: a batch starts once it is full, and no face waits for long.
    If JAX sees several devices on this host, they share every batch. An error of ``faces``, or for a pair of
    other shapes, is raised after the results of all faces before it. So are images of fractions up to 1
    before any was brighter; later ones are dark, and their faces have the status `Status.TOO_DARK`.
    """
    check_kinds(model, config)
    yield from stream(model, faces, config)


def stream(
    model: Model, faces: Iterable[Any], config: FitConfig | None, range_known: bool = False
) -> Iterator[FitResult]:
    """Do as `fit_stream`; with a known range of grey all images are from 0 to 255, however dark they are."""
    if is_inherited():
        yield from fit_elsewhere(model, faces, config, range_known)
        return
    devices = jax.local_devices()
    place = partial(replicate, devices=devices) if len(devices) > 1 else jax.device_put
    reduced = reduction_by(model, _settings(model, config))
    model, config = place((model, config))
    limits, errors = limits_of(devices), []
    done: dict[int, FitResult] = {}
    following = 0
    batches = in_batches(_placed(faces, reduced, errors, range_known), limits)
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
    faces: Iterable[Any],
    reduced: Callable[[np.ndarray], float],
    errors: list[Exception],
    range_known: bool,
) -> Iterator[PlacedFace]:
    """Place every face on its canvas, up to the first that fails; its error is added to ``errors``."""
    try:
        for i, pair in enumerate(faces):
            image, box = map(np.asarray, _checked_pair(pair))
            yield on_canvas(i, image, box, reduced, range_known)
            range_known = range_known or is_bright(image)
    except Exception as error:  # whatever the caller's iterator raises
        errors.append(error)


def _checked_pair(pair: Any) -> tuple[Any, Any]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        found = f"{len(pair)} values" if isinstance(pair, list | tuple) else type(pair).__name__
        raise ValueError(f"expected pairs of a grey image and a box; got {found}")
    return pair[0], pair[1]


def _overlapped(batches, model, config, limits, n):
    """Yield batches with their results, a few of them computed side by side."""

    def fitted(batch):
        return batch, _fit(model, batch, config, limits)

    return ahead(in_this_precision(fitted), batches, workers=n, depth=n + 1)


def in_flight(devices: Sequence[Any]) -> int:
    """Choose the number of batches that are computed side by side."""
    return max(IN_FLIGHT, min(n_cores(), MOST)) if devices[0].platform == "cpu" else IN_FLIGHT


def _fit(model: Model, batch: list[PlacedFace], config: FitConfig | None, limits: Limits) -> FitResult:
    """Fit a batch, and look again where a face was hardly found; returns numpy arrays."""
    canvases = [face.canvas for face in batch]
    with np.errstate(invalid="ignore"):  # an invalid box stays invalid
        boxes = [face.canvas.box(face.box) for face in batch]

    def fit_canvases(canvases, boxes) -> FitResult:
        return _fit_canvases(model, canvases, boxes, config, sizes_for(batch[0], limits))

    result = fit_canvases(canvases, boxes)
    settings = _settings(model, config)
    if not looks_again(model, settings):
        return result
    return with_second_looks(model, settings, fit_canvases, canvases, boxes, result)


def _fit_canvases(
    model: Model,
    canvases: Sequence[Canvas],
    boxes: Sequence[np.ndarray],
    config: FitConfig | None,
    sizes: Sequence[int],
) -> FitResult:
    """Fit a face on each canvas, padded to one of the ``sizes`` with copies of the last one."""
    take = np.minimum(np.arange(padded_size(len(canvases), sizes)), len(canvases) - 1)
    pixels = np.stack([canvases[i].pixels for i in take])
    with np.errstate(invalid="ignore"):
        in_boxes = np.stack([boxes[i] for i in take]).astype(np.float32)
    devices = jax.local_devices()
    if len(devices) > 1:
        return jax.device_get(fit_canvases_sharded(model, pixels, in_boxes, config, devices))
    return fit_beside_others(model, pixels, in_boxes, config)


def _finish(batch: list[PlacedFace], result: FitResult) -> Iterator[tuple[int, FitResult]]:
    """Yield each face's index, and its result in its photo's pixels."""
    for i, face in enumerate(batch):
        own = jax.tree.map(lambda a, i=i: a[i], result)
        of_box = box_status(face.box, face.photo_size)
        status = own.status if of_box == Status.OK else of_box
        yield face.index, replace(in_photo(face.canvas, own), status=status)
