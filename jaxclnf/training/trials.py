"""Trials for a calibration, made from annotated faces: hard photos, detectors' boxes, boxes without faces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from jaxclnf.batch.box_rows import box_about, middle, overlaps, tight_box
from jaxclnf.data.datasets import Faces
from jaxclnf.data.evaluate import start_boxes
from jaxclnf.data.harder_photos import SIDES, Change, blurred, covered, darkened, shrunk, turned, unchanged
from jaxclnf.data.turned_heads import turned_aside
from jaxclnf.media.detection import detect_faces
from jaxclnf.media.images import RGB, Grey, read_photo, to_grey
from jaxclnf.media.photo_parts import cut_out, in_resized, resized
from jaxclnf.types import PDM

DISTURBANCES = (0.1, 0.2, 0.35, 0.5)
"""Standard deviations of a disturbed box's place and of the logarithm of its size, in sizes of the face."""

N_DISTURBED, N_BESIDE = 4, 4
"""Disturbed boxes and boxes beside the face, a face."""

N_LARGE, N_NOISES = 2, 8
"""Boxes beside the face that are seen large, and pictures of noise, a face."""

_LARGE = 100.0, 300.0  # pixels of a box in which patch experts have enough of them

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
    """Make trials of every face: of its photo as it is and made harder, places beside it, and noise.

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
        yield _lying(rgb, points, boxes[i], unit, rng)
        grey = to_grey(rgb)
        for _ in range(N_DISTURBED):
            yield Trial("disturbed", grey, disturbed(boxes[i], rng), points, unit)
        occupied = np.concatenate([detect_faces(rgb).boxes, boxes[i][None], tight_box(points)[None]])
        empty = beside(grey.shape, occupied, rng, N_BESIDE)
        for box in empty:
            yield Trial("beside", grey, box, None)
        for box in empty[:N_LARGE]:
            yield Trial("beside, enlarged", *seen_large(grey, box, rng), None)
        for _ in range(N_NOISES):
            yield Trial("noise", *noise(rng), None)


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
    return box_about(middle(box) + rng.normal(0, by, 2) * box[2:4], size).astype(np.float32)


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


def seen_large(
    grey: Grey, box: Box, rng: np.random.Generator
) -> tuple[UInt8[np.ndarray, "large_height large_width"], Box]:
    """Cut out a box and as much around it, as if it were 100 to 300 pixels wide."""
    part, first = cut_out(grey, box[:2] - box[2:], box[:2] + 2 * box[2:])
    scale = rng.uniform(*_LARGE) / float(box[2])
    there = np.concatenate([in_resized(box[:2] - first, scale), scale * box[2:]])
    return resized(part, scale), there.astype(np.float32)


def noise(rng: np.random.Generator) -> tuple[Grey, Box]:
    """Make a picture of noise, as fine as pixels or as coarse as a third of its box, and that box."""
    side = rng.uniform(*_LARGE)
    whole = round(1.6 * side)
    cells = round(float(np.exp(rng.uniform(np.log(5), np.log(whole)))))
    grains = rng.normal(rng.uniform(60, 190), rng.uniform(5, 80), (cells, cells))
    picture = cv2.resize(grains, (whole, whole), interpolation=cv2.INTER_CUBIC)
    corner = (whole - side) / 2
    box = np.array([corner, corner, side, side], np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8), box


def _trial(kind: str, change: Change, rgb: RGB, points: np.ndarray, box: Box, unit: float) -> Trial:
    picture, moved = change(rgb, points)
    scale = float(np.linalg.norm(moved - moved.mean(0)) / np.linalg.norm(points - points.mean(0)))
    return Trial(kind, to_grey(picture), _box_of(picture, points, moved, box, scale), moved, scale * unit)


def _lying(rgb: RGB, points: np.ndarray, box: Box, unit: float, rng: np.random.Generator) -> Trial:
    """Turn a photo by a quarter or a half, and leave the box level, as who draws boxes does."""
    picture, moved = turned(float(rng.choice([-90, 90, 180])))(rgb, points)
    return Trial("lying", to_grey(picture), _moved_with(points, moved, box, 1.0), moved, unit)


def _box_of(picture: RGB, points: np.ndarray, moved: np.ndarray, box: Box, scale: float) -> Box:
    """Give the detector's box of a face or, if it finds none, the dataset's in the changed photo."""
    found = detect_faces(picture)
    if found:
        at = overlaps(found.boxes, tight_box(moved)[None])[:, 0]
        if at.max() > _SAME:
            return found.tilted[at.argmax()]
    return _moved_with(points, moved, box, scale)


def _moved_with(points: np.ndarray, moved: np.ndarray, box: Box, scale: float) -> Box:
    """Move a box with the face's points, level as it is."""
    to = moved.mean(0) + scale * (middle(box) - points.mean(0))
    return box_about(to, scale * box[2:]).astype(np.float32)


def _one_after_the_other(first: Change, second: Change) -> Change:
    return lambda rgb, points: second(*first(rgb, points))
