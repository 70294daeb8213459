"""Arguments of fits that mean the same, made alike, so that they share a compiled program."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxclnf.by_identity import ByIdentity
from jaxclnf.config import FitConfig
from jaxclnf.fitting.mesh_axes import is_explicit, on_auto_axes
from jaxclnf.pytrees import no_tracers
from jaxclnf.types import FaceParams, Model, Provenance

NO_BOXES, NO_IMAGES = np.zeros((0, 4), np.float32), np.zeros((0, 1, 1), np.uint8)
_NO_SETTINGS = FitConfig(parts={})


def alike(model: Any, images: Any, start: Any, config: Any = None, *rest: Any) -> tuple:
    """Fill in the model's settings, leave out what fits do not use of it, and make arrays of lists.

    Arrays on meshes with explicit axes go on, where they are, to meshes whose axes XLA looks after.
    ``start`` is a box, boxes or parameters. Arguments of other kinds stay as they are, for checks to refuse.
    """
    if not isinstance(model, Model) or not isinstance(config, FitConfig | None):
        return model, images, start, config, *rest
    config = model.settings if config is None else config
    start = start if isinstance(start, FaceParams) else _boxes(start, model)
    images, used = _images(images), _used(model)
    if is_explicit(used.pdm.mean) or any(map(is_explicit, jax.tree.leaves((images, start)))):
        return on_auto_axes((used, images, start, config, *rest))
    return used, images, start, config, *rest


def alike_batch(model: Any, images: Any, start: Any, *rest: Any) -> tuple:
    """Do as `alike` for many faces; calls for none share a program, whatever images they come with."""
    rows = start.scale if isinstance(start, FaceParams) else start
    if _shape(rows)[:1] == (0,):
        start = NO_BOXES if _shape(rows) == (0,) and rows is start else start
        images = NO_IMAGES if _shape(images) == (0,) or _has_pixels_for_none(_shape(images)) else images
    return alike(model, images, start, *rest)


def _shape(rows: Any) -> tuple[int, ...]:
    """Give the shape of an array, the length of a list."""
    return (len(rows),) if isinstance(rows, list | tuple) else getattr(rows, "shape", ())


def _has_pixels_for_none(shape: tuple[int, ...]) -> bool:
    """Tell the shape of one image, or of a stack of none; other shapes are refused."""
    return 0 not in shape[-2:] and (len(shape) == 2 or (len(shape) == 3 and shape[0] == 0))


def _without_unused(model: Model) -> Model:
    """Leave out what fits do not use: a model's origin, the settings that were filled in, calibration."""
    parts = tuple(replace(part, model=_without_unused(part.model)) for part in model.parts)
    return replace(model, parts=parts, provenance=Provenance(), settings=_NO_SETTINGS, calibration=None)


_used = ByIdentity(_without_unused, no_tracers)


def _boxes(boxes: Any, model: Model) -> Any:
    """Make boxes that are numbers of NumPy's or Python's an array in the model's precision."""
    if not all(isinstance(leaf, np.ndarray | np.generic | int | float) for leaf in jax.tree.leaves(boxes)):
        return boxes
    try:
        array = np.asarray(boxes)
    except ValueError:  # of unlike lengths, which the fit refuses
        return boxes
    if array.dtype.kind not in "iuf" or not array.dtype.isnative:
        return boxes
    with np.errstate(over="ignore"):  # such a box fails, with a status
        return array.astype(model.pdm.mean.dtype)


def _images(images: Any) -> Any:
    """Stack images that are given one by one, if they are NumPy's and of one kind."""
    if not isinstance(images, list | tuple) or not images:
        return images
    if not all(isinstance(image, np.ndarray) for image in images):
        return images
    return np.stack(images) if len({(image.shape, image.dtype) for image in images}) == 1 else images
