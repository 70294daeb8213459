"""Trials for a calibration, made from annotated faces: hard photos, detectors' boxes, boxes beside faces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxclnf.batch.box_rows import overlaps, tight_box
from jaxclnf.data.datasets import Faces
from jaxclnf.data.evaluate import start_boxes
from jaxclnf.data.harder_photos import SIDES, Change, blurred, covered, darkened, shrunk, turned, unchanged
from jaxclnf.data.turned_heads import turned_aside
from jaxclnf.media.detection import detect_faces
from jaxclnf.media.images import RGB, read_photo, to_grey
from jaxclnf.types import PDM

DISTURBANCES = (0.1, 0.2, 0.35, 0.5)
"""Standard deviations of a disturbed box's place and of the logarithm of its size, in sizes of the face."""

N_DISTURBED, N_BESIDE = 4, 4
"""Disturbed boxes and boxes beside the face, a face."""

_SAME = 0.3  # boxes that overlap so much are of one face
_TRIES = 15  # to find a place beside the faces, for each that is wanted

Box = Float[np.ndarray, "_"]  # x, y, w, h and, tilted, a roll


class Trial(NamedTuple):
    """A box to fit in, and where the face's points are."""

    kind: str
    grey: np.ndarray
    box: Box
    points: np.ndarray | None  # None: there is no face in the box
    eye_distance: float = np.nan


def trials(
    faces: Faces, seed: int = 0, numbers: Iterable[int] | None = None, pdm: PDM | None = None
) -> Iterator[Trial]:
    """Make trials of every face, from its photo as it is and made harder, and from places beside it.

    ``numbers`` are those of the faces that are wanted, by default of all. Boxes are the default detector's
    where it finds the face, else the dataset's, moved with the face. With the ``pdm`` of 68 landmarks heads
    are turned to the sides, too.
    """
    kinds = KINDS if pdm is None or pdm.n_points != 68 else {**KINDS, "turned aside": _aside(pdm)}
    boxes = start_boxes(faces)
    for i in range(len(faces)) if numbers is None else numbers:
        rng = np.random.default_rng((seed, i))
        rgb, points = read_photo(faces.photos[i]), faces.points[i].astype(np.float64)
        unit = 1.0 if faces.eye_distances is None else float(faces.eye_distances[i])
        for kind, make in kinds.items():
            yield _trial(kind, make(rng), rgb, points, boxes[i], unit)
        grey = to_grey(rgb)
        for _ in range(N_DISTURBED):
            yield Trial("disturbed", grey, disturbed(boxes[i], rng), points, unit)
        occupied = np.concatenate([detect_faces(rgb).boxes, boxes[i][None], tight_box(points)[None]])
        for box in beside(grey.shape, occupied, rng, N_BESIDE):
            yield Trial("beside", grey, box, None)


KINDS: dict[str, Callable[[np.random.Generator], Change]] = {
    "plain": lambda rng: unchanged,
    "small": lambda rng: shrunk(rng.uniform(24, 70)),
    "dark": lambda rng: darkened(rng.uniform(0.05, 0.4), rng.uniform(1, 10), int(rng.integers(2**31))),
    "blurred": lambda rng: blurred(rng.uniform(0.02, 0.06)),
    "turned": lambda rng: turned(float(rng.choice([-1, 1]) * rng.uniform(10, 45))),
    "covered": lambda rng: covered(str(rng.choice(SIDES)), rng.uniform(0.25, 0.55), int(rng.integers(255))),
    "small and turned": lambda rng: _one_after_the_other(
        turned(rng.uniform(-30, 30)), shrunk(rng.uniform(30, 100))
    ),
}
"""Ways to make a photo harder, drawn by chance."""


def _aside(pdm: PDM) -> Callable[[np.random.Generator], Change]:
    return lambda rng: turned_aside(np.radians(rng.choice([-1, 1]) * rng.uniform(15, 60)), pdm)


def disturbed(box: Box, rng: np.random.Generator) -> Box:
    """Disturb a box as much as a bad detector might."""
    by = rng.choice(DISTURBANCES)
    size = box[2:4] * np.exp(rng.normal(0, by))
    middle = box[:2] + box[2:4] / 2 + rng.normal(0, by, 2) * box[2:4]
    return np.concatenate([middle - size / 2, size]).astype(np.float32)


def beside(
    shape: tuple[int, ...], occupied: Float[np.ndarray, "n_faces 4"], rng: np.random.Generator, n: int
) -> list[Box]:
    """Draw up to ``n`` square boxes of any size in a photo (height, width) that touch none of the others."""
    found: list[Box] = []
    for _ in range(_TRIES * n):
        side = rng.uniform(24, max(0.5 * min(shape), 25))
        corner = rng.uniform(0, np.maximum(np.array(shape[1::-1]) - side, 1))
        box = np.append(corner, [side, side]).astype(np.float32)
        if len(found) < n and not overlaps(box[None], occupied).any():
            found.append(box)
    return found


def _trial(kind: str, change: Change, rgb: RGB, points: np.ndarray, box: Box, unit: float) -> Trial:
    picture, moved = change(rgb, points)
    scale = float(np.linalg.norm(moved - moved.mean(0)) / np.linalg.norm(points - points.mean(0)))
    return Trial(kind, to_grey(picture), _box_of(picture, points, moved, box, scale), moved, scale * unit)


def _box_of(picture: RGB, points: np.ndarray, moved: np.ndarray, box: Box, scale: float) -> Box:
    """Give the detector's box of a face or, if it finds none, the dataset's in the changed photo."""
    found = detect_faces(picture)
    if found:
        at = overlaps(found.boxes, tight_box(moved)[None])[:, 0]
        if at.max() > _SAME:
            return found.tilted[at.argmax()]
    middle = moved.mean(0) + scale * (box[:2] + box[2:] / 2 - points.mean(0))
    return np.concatenate([middle - scale * box[2:] / 2, scale * box[2:]]).astype(np.float32)


def _one_after_the_other(first: Change, second: Change) -> Change:
    return lambda rgb, points: second(*first(rgb, points))
