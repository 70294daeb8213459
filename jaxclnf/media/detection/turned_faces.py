"""Surroundings of a face turned upright, for a closer look, and the way back to the photo."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from jaxclnf.batch.box_rows import box_about_pixel, middle, middle_pixel
from jaxclnf.batch.canvas import turn
from jaxclnf.media.detection.detector_protocol import Detections
from jaxclnf.media.images import RGB
from jaxclnf.media.photo_parts import cut_out, in_resized, resized

FACE = 80  # pixels of the face in what is looked at ...
_SIDE = 200  # ... and of that


class TurnedFace(NamedTuple):
    """Surroundings of a face, turned: picture = scale * turn(-roll) (photo - middle) + side / 2."""

    picture: RGB
    middle: Float[np.ndarray, "2"]
    scale: float
    roll: float  # clockwise as seen, in radians


def turned_face(rgb: RGB, box: Float[np.ndarray, "4"], roll: float) -> TurnedFace:
    """Cut the face in a box out of a photo, as if it rolled less by ``roll`` (clockwise as seen, radians)."""
    face = middle_pixel(box)
    scale = FACE / float(box[2:].max())
    reach = _SIDE / scale * 0.75  # beyond half the picture's diagonal
    part, first = cut_out(rgb, face - reach, face + reach)
    reduction = min(scale, 1.0)
    part = resized(part, reduction) if reduction < 1 else part
    here = in_resized(face - first, reduction)
    to_picture = scale / reduction * turn(-roll)
    to = np.column_stack([to_picture, _SIDE / 2 - to_picture @ here])
    picture = cv2.warpAffine(part, to, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR)
    return TurnedFace(picture, face, scale, roll)


def in_the_middle(found: Detections) -> Detections | None:
    """Find the face whose box holds the picture's middle, the nearest if there are several."""
    if not found:
        return None
    off = np.abs(middle(found.boxes) - _SIDE / 2).max(axis=1)
    nearest = int(off.argmin())
    return found.take([nearest]) if off[nearest] < found.boxes[nearest, 2:].max() / 2 else None


def box_in_photo(box: Float[np.ndarray, "4"], turned: TurnedFace) -> Float[np.ndarray, "4"]:
    """Take an upright box of the turned picture to the photo, where its roll is still to be applied."""
    size = box[2:] / turned.scale
    return box_about_pixel(points_in_photo(middle_pixel(box), turned), size).astype(np.float32)


def points_in_photo(points: Float[np.ndarray, "*n 2"], turned: TurnedFace) -> Float[np.ndarray, "*n 2"]:
    """Take points of the turned picture to the photo."""
    return turned.middle + (points - _SIDE / 2) @ turn(turned.roll).T / turned.scale
