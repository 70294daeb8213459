"""What a caller gives to a step of the tracker: a frame and boxes, checked and in one form."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Num

from jaxclnf.batch.box_rows import checked_rows
from jaxclnf.fitting.arguments import check_images
from jaxclnf.fitting.grey_range import check_brightness
from jaxclnf.media.detection.detector_protocol import Detections


def grey_frame(frame: Any, range_known: bool = False) -> Num[np.ndarray, "height width"]:
    """Convert a frame to NumPy's array; raises ValueError unless it is grey from 0 to 255.

    One of floats up to 1 is dark if the range is known from the film's other frames.
    """
    pixels = np.asarray(frame)
    check_images(pixels, 2)
    check_brightness(pixels, range_known)
    return pixels


def detected_boxes(detections: Any) -> Float[np.ndarray, "n_faces box"]:
    """Lay out detections or boxes as rows x, y, width, height and maybe a roll; others are a ValueError."""
    given = detections.tilted if isinstance(detections, Detections) else detections
    rows = checked_rows(given, (4, 5))
    if rows is None:
        raise ValueError(
            f"detections = {detections!r:.200}, expected rows x, y, width, height and maybe a roll; "
            "or what jaxclnf.detect_faces gives"
        )
    return rows
