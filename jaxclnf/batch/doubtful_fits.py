"""A second look at faces that were hardly found: with the photo turned, for those that lie on their side.

It needs a network, which sees that what it found is no face, and a calibration, which says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import Float

from jaxclnf.batch.canvas import Canvas, cut
from jaxclnf.batch.placed_faces import in_photo
from jaxclnf.config import FitConfig
from jaxclnf.models.calibration import confidences
from jaxclnf.types import ConvExperts, FitResult, Model

DOUBTFUL, CONVINCING = 0.3, 0.5
"""Confidences below which there is a second look, and from which on its result is taken."""

ROLLS = (np.pi / 2, -np.pi / 2, np.pi)
"""Turns of the face that are tried, clockwise as seen."""

FitCanvases = Callable[[Sequence[Canvas], Sequence[Float[np.ndarray, "4"]]], FitResult]
"""What fits one face on each of some canvases, in its box; results are in the pixels of the canvases."""


def looks_again(model: Model, config: FitConfig) -> bool:
    """Tell whether these fits begin with a network whose confidence is known."""
    stages = model.stages_of(config)
    return bool(stages) and isinstance(stages[0][2], ConvExperts) and model.calibration is not None


def with_second_looks(
    model: Model,
    config: FitConfig,
    fit: FitCanvases,
    canvases: Sequence[Canvas],
    boxes: Sequence[Float[np.ndarray, "4"]],
    result: FitResult,
) -> FitResult:
    """Replace results of doubtful fits by those on turned canvases that are convincing.

    ``boxes`` are those of the faces on their canvases, ``result`` holds at least a row for each.
    """
    found = [jax.tree.map(lambda a, i=i: a[i], result) for i in range(len(result.status))]
    sure, usable = confidences(model, result, config), np.asarray(result.usable)
    for roll in ROLLS:
        doubtful = [i for i in range(len(canvases)) if sure[i] < DOUBTFUL and usable[i]]
        if not doubtful:
            break
        turned = [_turned(canvases[i], boxes[i], roll) for i in doubtful]
        again = fit(turned, [canvas.box(boxes[i]) for canvas, i in zip(turned, doubtful, strict=True)])
        of_again = confidences(model, again, config)
        for k, i in enumerate(doubtful):
            if of_again[k] >= CONVINCING:
                own = jax.tree.map(lambda a, k=k: a[k], again)
                found[i], sure[i] = in_photo(turned[k], own), of_again[k]
    return jax.tree.map(lambda *rows: np.stack(rows), *found)


def _turned(canvas: Canvas, box: Float[np.ndarray, "4"], roll: float) -> Canvas:
    """Cut a canvas turned about the face's box out of a canvas, as large as it."""
    return cut(canvas.pixels, box, roll, len(canvas.pixels), 1.0)
