"""Copies of training faces turned to the sides: photos show few faces in half profile."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from jaxclnf.data.turned_heads import head_opacity, solid_head
from jaxclnf.training.warped_crops import CroppedFaces, box_along
from jaxclnf.types import PDM

LEAST, MOST, FARTHEST = 0.25, 1.15, 1.25
"""Radians by which a copy is turned, and how far it is turned then at most."""

NODS = 0.15  # standard deviation, radians


def turned_copies(
    crops: CroppedFaces, pdm: PDM, n_copies: int, seed: int, on_face: Callable[[], None] = lambda: None
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Make ``n_copies`` of every face turned on to a side, on parts of other crops: pixels, points, box.

    ``on_face`` is called after each. Raises ValueError as `check_turnable`.
    """
    check_turnable(pdm.n_points, n_copies)
    rng, n = np.random.default_rng(seed), len(crops.pixels)
    copies = []
    for i in [*range(n)] * n_copies:
        copies.append(_turned(crops, i, crops.pixels[rng.integers(n)], pdm, rng))
        on_face()
    return copies


def check_turnable(n_points: int, n_copies: int, setting: str = "turned") -> None:
    """Raise ValueError if there are copies to make of a face that has not 68 landmarks.

    The meaning of others is not known.
    """
    if n_copies and n_points != 68:
        raise ValueError(
            f"{setting}={n_copies}: faces with {n_points} landmarks cannot be turned; set it to 0"
        )


def _turned(
    crops: CroppedFaces, i: int, behind: np.ndarray, pdm: PDM, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pixels, points, box = (column[i] for column in crops)
    head = solid_head(pixels[..., None], head_opacity(points, pixels.shape), points, pdm)
    own = float(head.angles[1])
    side = np.sign(own) if abs(own) > 0.1 else rng.choice([-1, 1])
    yaw = side * np.clip(rng.uniform(LEAST, MOST), 0, max(FARTHEST - abs(own), 0))
    seen = head.turned(yaw, rng.normal(0, NODS))
    ground = cv2.GaussianBlur(behind[::-1].astype(np.float32), (0, 0), rng.uniform(0.5, 4))
    picture = ground + seen.opacity * (seen.picture[..., 0] - ground)
    return np.clip(np.round(picture), 0, 255), seen.outline, box_along(box, points, seen.outline)
