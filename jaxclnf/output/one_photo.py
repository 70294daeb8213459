"""One photo: a call that finds and fits its faces, and a call that draws them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from jaxclnf.batch.many_faces import fit_faces
from jaxclnf.config import FitConfig
from jaxclnf.fitting.arguments import check_kind
from jaxclnf.media.detection import Detector, detect_faces
from jaxclnf.media.images import RGB, checked_pixels, to_grey
from jaxclnf.output.draw import colour_of, draw_landmarks
from jaxclnf.types import FitResult, Model


def fit_photo(
    model: Model, photo: RGB, config: FitConfig | None = None, detector: Detector | str | None = None
) -> FitResult:
    """Find the faces of a photo and fit them; the result has a row for each face, in the detector's order.

    ``photo`` is RGB as `jaxclnf.read_photo` gives it. ``detector`` is a name, as for ``--detector``, or a
    function from pixels to what it found; by default our own detector. A photo without faces has no rows.
    """
    return fit_faces(model, [to_grey(photo)], [detect_faces(photo, detector).tilted], config)


def draw(photo: RGB, result: FitResult) -> Image.Image:
    """Draw the landmarks of one face or of a batch on a copy of their photo, each face in its colour.

    Notebooks show the picture; its ``save`` writes it to a file. Failed fits are left out. Boxes, numbers and
    head axes are drawn by ``jaxclnf fit``.
    """
    check_kind("result", result, FitResult)
    picture = np.array(checked_pixels(photo))
    points, usable = np.asarray(result.landmarks, np.float64), np.atleast_1d(result.usable)
    for i, face in enumerate(points.reshape(len(usable), *points.shape[-2:])):
        if usable[i]:
            draw_landmarks(picture, face, colour_of(i))
    return Image.fromarray(picture)
