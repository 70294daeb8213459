"""A real face for tests: Grace Hopper's, found on her portrait."""

from __future__ import annotations

import numpy as np

import jaxclnf
from jaxclnf.media.images import RGB
from jaxclnf.media.portrait import portrait_file


def face_part(model: jaxclnf.Model, side: int) -> tuple[RGB, np.ndarray]:
    """Cut a square about the face out of the portrait; returns it and the landmarks in it."""
    photo = jaxclnf.read_photo(portrait_file())
    points = np.asarray(jaxclnf.fit_photo(model, photo).landmarks[0], np.float64)
    corner = np.round(points.mean(axis=0)).astype(int) - side // 2
    return photo[corner[1] :, corner[0] :][:side, :side], points - corner
