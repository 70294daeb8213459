"""The faces of a sweep, drawn from datasets and cut out of their photos."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxclnf.batch.placed_faces import on_canvases
from jaxclnf.batch.reductions import reduction_by
from jaxclnf.data.datasets import Faces
from jaxclnf.data.evaluate import learned_warning, not_learned, start_boxes
from jaxclnf.sweeps.spec import Spec
from jaxclnf.training.patch_recipe import Recipe
from jaxclnf.types import Model


class Canvases(NamedTuple):
    """Faces on canvases of one size, boxes and true landmarks in their pixels."""

    canvases: np.ndarray  # (n, side, side) uint8
    boxes: np.ndarray  # (n, 4)
    points: np.ndarray  # (n, n_points, 2)
    eye_distances: np.ndarray  # (n,)


def draw_photos(faces: Faces, spec: Spec, model: Model | None = None) -> Canvases:
    """Draw the faces of a sweep and cut them out of their photos.

    The held-back faces are those that the model was not trained on or, if its training photos are unknown,
    those that `jaxclnf train` holds back by default. Raises ValueError for a markup
    without eyes, or that is not the model's.
    """
    if model is not None and model.pdm.n_points != faces.n_points:
        raise ValueError(f"the model has {model.pdm.n_points} landmarks and the faces have {faces.n_points}")
    if faces.eye_distances is None:
        raise ValueError(f"errors are in eye distances, unknown for a markup of {faces.n_points} landmarks")
    if spec.held_back is not None:
        if model is not None and model.learned:
            faces = not_learned(faces, model)
        else:
            _, faces = faces.split(spec.held_back, Recipe().seed)
    order = np.random.default_rng(spec.seed).permutation(len(faces))
    if spec.faces is not None and spec.faces > len(faces):
        raise ValueError(f"faces = {spec.faces}, but there are {len(faces)} of them")
    faces = faces.take(order[: spec.faces])
    boxes = start_boxes(faces)
    canvases = on_canvases(faces.images(), boxes, _reduction(spec, model))
    assert faces.eye_distances is not None
    on_each = list(zip(canvases, boxes, faces.points, faces.eye_distances, strict=True))
    return Canvases(
        canvases=np.stack([canvas.pixels for canvas in canvases]),
        boxes=np.stack([canvas.box(box) for canvas, box, _, _ in on_each]).astype(np.float32),
        points=np.stack([canvas.of_photo(points) for canvas, _, points, _ in on_each]).astype(np.float32),
        eye_distances=np.array([canvas.scale * distance for canvas, _, _, distance in on_each], np.float32),
    )


def held_back_warning(faces: Faces, spec: Spec, model: Model) -> str:
    """Warn of faces that the model was trained on, or of what is held back instead; empty if neither."""
    if spec.held_back is not None and not model.learned:
        return "the model does not say which photos it learned from; those are taken that seed 0 holds back"
    return learned_warning(faces, model, left_out=spec.held_back is not None)


def _reduction(spec: Spec, model: Model | None) -> Callable[[np.ndarray], float]:
    """Make the function from a face's box to its reduction, by the settings that the sweep does not vary."""
    if model is None:
        return lambda box: 1.0
    if any("resolution" in setting for setting in spec.settings):
        raise ValueError("resolution cannot be varied: faces are reduced once, before all fits of a sweep")
    return reduction_by(model, spec.base_config(model))
