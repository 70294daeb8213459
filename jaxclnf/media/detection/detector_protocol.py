"""The result of a detector, and the protocol of detectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxclnf.batch.box_rows import by_size, checked_rows
from jaxclnf.media.images import RGB
from jaxclnf.named_arrays import compared_by_numbers


@compared_by_numbers
class Detections(NamedTuple):
    """The faces found in a photo, best first.

    A box spans the 68 landmarks on average. ``rolls`` turn boxes about their middles, clockwise as seen, in
    radians; without them boxes are level. ``points`` are the eyes, the nose's tip and the corners of the
    mouth, each from the photo's left to its right.
    """

    boxes: Float[np.ndarray, "n_faces 4"]  # x, y, w, h in pixels
    scores: Float[np.ndarray, " n_faces"]  # comparable within one detector only
    points: Float[np.ndarray, "n_faces 5 2"] | None = None
    rolls: Float[np.ndarray, " n_faces"] | None = None

    def take(self, index: Sequence[int] | np.ndarray) -> Detections:
        """Take the faces with these numbers."""
        points = None if self.points is None else self.points[index]
        rolls = None if self.rolls is None else self.rolls[index]
        return Detections(self.boxes[index], self.scores[index], points, rolls)

    @property
    def tilted(self) -> Float[np.ndarray, "n_faces 5"]:
        """Give the boxes with their rolls as a fifth column, as fits take them."""
        rolls = np.zeros(len(self.boxes)) if self.rolls is None else self.rolls
        return np.column_stack([self.boxes, rolls]).astype(np.float32)

    def __bool__(self) -> bool:
        return bool(len(self.boxes))


Detector = Callable[[RGB], Detections]
"""Function that finds faces in a photo: a built-in detector, or your own, which may give plain boxes, too."""


def as_detections(found: object) -> Detections:
    """Check what a detector gave, and make arrays of it; plain boxes x, y, w, h are detections of one score.

    Raises ValueError for anything else, since a detector may be anybody's own.
    """
    given = found if isinstance(found, Detections) else Detections(found, None)  # type: ignore[arg-type]
    boxes = checked_rows(given.boxes, (4,))
    if boxes is None:
        raise ValueError(
            f"the detector gave {found!r:.200}, expected Detections, or rows x, y, width, height in pixels"
        )
    n = len(boxes)
    scores = np.ones(n, np.float32) if given is not found else _of_each("scores", given.scores, (n,))
    points = None if given.points is None else _of_each("points", given.points, (n, 5, 2))
    rolls = None if given.rolls is None else _of_each("rolls", given.rolls, (n,))
    return Detections(boxes, scores, points, rolls)


def _of_each(name: str, values: object, shape: tuple[int, ...]) -> np.ndarray:
    """Make an array of what a detector tells of each face; raises ValueError for another shape."""
    try:
        array = np.asarray(values, np.float32)
    except (TypeError, ValueError):
        array = None
    if array is None or array.shape != shape:
        got = type(values).__name__ if array is None else array.shape
        raise ValueError(f"the detector gave {name} {got}, expected {shape} for its {shape[0]} boxes")
    return array


class BoxMap(NamedTuple):
    """Map from a detector's boxes to boxes around the landmarks, learned from annotated faces."""

    shift: tuple[float, float]  # of the corner, in widths and heights of the box
    stretch: tuple[float, float]

    def __call__(self, boxes: Float[np.ndarray, "n_faces 4"]) -> Float[np.ndarray, "n_faces 4"]:
        corner, size = boxes[:, :2], boxes[:, 2:]
        moved = np.concatenate([corner + self.shift * size, size * self.stretch], axis=1)
        return moved.astype(np.float32)

    def around_landmarks(self, found: Detections) -> Detections:
        """Give detections whose boxes are the detector's own with boxes around the landmarks."""
        return found._replace(boxes=self(found.boxes))


def largest(found: Detections, most: int = 1) -> Detections:
    """Keep the faces with the largest boxes, the largest first, if there are any."""
    return found.take(by_size(found.boxes)[:most])
