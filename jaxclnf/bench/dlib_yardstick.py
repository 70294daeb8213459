"""dlib's 68-point shape predictor, the public yardstick."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from jaxclnf.bench.timing import Case

MODEL = "shape_predictor_68_face_landmarks.dat"


def dlib_case(images: np.ndarray, boxes: np.ndarray, n: int = 64) -> Case:
    """Make the case of the predictor on ``n`` faces in a row; raises ValueError if it is not installed."""
    dlib: Any = import_module("dlib")
    package = find_spec("face_recognition_models")
    if package is None or package.origin is None:
        raise ValueError(
            "dlib's predictor is left out: its model is not here; pip install face_recognition_models"
        )
    predictor = dlib.shape_predictor(str(Path(package.origin).parent / "models" / MODEL))
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1).astype(int)
    rectangles = [dlib.rectangle(*map(int, corner)) for corner in corners]
    faces = [(images[i % len(images)], rectangles[i % len(boxes)]) for i in range(n)]

    def run() -> None:
        for image, box in faces:
            predictor(image, box)

    return Case("68-point predictor", run, n, "dlib")
