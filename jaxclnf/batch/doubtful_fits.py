"""More looks at faces that were hardly found: turned, for those that lie, then from where the last one ended.

From a box that is far off, as those of half covered faces are, a fit comes so near that the next arrives.
It needs a network, which sees that what it found is no face, and a calibration, which says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import Float

from jaxclnf.batch.box_rows import box_about, middle, tight_box
from jaxclnf.batch.canvas import Canvas, cut, turn
from jaxclnf.batch.placed_faces import in_photo
from jaxclnf.config import FitConfig
from jaxclnf.models.calibration import confidences
from jaxclnf.types import ConvExperts, FitResult, Model

DOUBTFUL, CONVINCING = 0.3, 0.5
"""Confidences below which a face is looked at again, and from which on a turned look is believed."""

ROLLS = (np.pi / 2, -np.pi / 2, np.pi)
"""Turns of the face that are tried, clockwise as seen."""

FURTHER = 2
"""Looks from where the last one ended, in a box about the landmarks that it found."""

FitCanvases = Callable[[Sequence[Canvas], Sequence[Float[np.ndarray, "4"]]], FitResult]
"""What fits one face on each of some canvases, in its box; results are in the pixels of the canvases."""

Placed = tuple[Canvas, Float[np.ndarray, "4"]]
"""A canvas that was cut out of a face's canvas, and the face's box on the latter."""


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
    """Replace results of doubtful fits by surer ones, on turned canvases by those that are convincing.

    ``boxes`` are those of the faces on their canvases, ``result`` holds at least a row for each.
    """
    found = [jax.tree.map(lambda a, i=i: a[i], result) for i in range(len(result.status))]
    sure, usable = confidences(model, result, config), np.asarray(result.usable)

    def look(place: Callable[[int], Placed], convincing: float) -> None:
        doubtful = [i for i in range(len(canvases)) if sure[i] < DOUBTFUL and usable[i]]
        if not doubtful:
            return
        there = [place(i) for i in doubtful]
        again = fit([canvas for canvas, _ in there], [canvas.box(box) for canvas, box in there])
        of_again = confidences(model, again, config)
        for k, i in enumerate(doubtful):
            if of_again[k] >= convincing and of_again[k] > sure[i]:
                own = jax.tree.map(lambda a, k=k: a[k], again)
                found[i], sure[i] = in_photo(there[k][0], own), of_again[k]

    for roll in ROLLS:
        look(lambda i, roll=roll: _turned(canvases[i], boxes[i], roll), CONVINCING)
    for _ in range(FURTHER):
        look(lambda i: _about(canvases[i], found[i]), 0.0)
    return jax.tree.map(lambda *rows: np.stack(rows), *found)


def _turned(canvas: Canvas, box: Float[np.ndarray, "4"], roll: float) -> Placed:
    """Cut a canvas turned about the face's box out of a canvas, as large as it."""
    return cut(canvas.pixels, box, roll, len(canvas.pixels), 1.0), box


def _about(canvas: Canvas, found: FitResult) -> Placed:
    """Cut a canvas about the landmarks that were found on a canvas, level as the face is, as large as it."""
    roll = float(found.params.rotation[2])
    level = tight_box(np.asarray(found.landmarks) @ turn(roll))
    return _turned(canvas, box_about(turn(roll) @ middle(level), level[2:]), roll)
