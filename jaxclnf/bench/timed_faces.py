"""Faces for timing fits: grey canvases of one size, and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from jaxclnf.batch.placed_faces import on_canvases
from jaxclnf.batch.reductions import reduction_by
from jaxclnf.types import Model

SIDE = 512


class BenchFaces(NamedTuple):
    """The faces that are fitted, and their origin."""

    images: UInt8[np.ndarray, "n side side"]
    boxes: Float[np.ndarray, "n 4"]
    source: str


def sample_faces(n: int = 64, seed: int = 0, model: Model | None = None) -> BenchFaces:
    """Make faces of the portrait of Grace Hopper that comes with matplotlib, with randomly displaced boxes.

    With a ``model`` large faces are reduced as its settings say.
    """
    from jaxclnf.media.detection import detect_faces
    from jaxclnf.media.images import read_photo, to_grey
    from jaxclnf.media.portrait import portrait_file

    grey = to_grey(read_photo(portrait_file()))
    x, y, w, h = detect_faces(grey, "hog").boxes[0]
    jitter = np.random.default_rng(seed).normal(0, 0.03, (n, 4))
    boxes = np.array([x, y, w, h]) + jitter * np.array([w, h, w, h])
    return _canvases([grey] * n, boxes, f"Grace Hopper's portrait, {n} boxes around her face", model)


def dataset_faces(folders: Sequence[Path], n: int = 256, model: Model | None = None) -> BenchFaces:
    """Take the first annotated faces of datasets, in their boxes or in boxes around their landmarks.

    With a ``model`` large ones are reduced as its settings say.
    """
    from jaxclnf.data.datasets import read_faces
    from jaxclnf.data.evaluate import start_boxes

    faces = read_faces(folders)
    faces = faces.take(range(min(n, len(faces))))
    names = ", ".join(folder.name for folder in folders)
    return _canvases(faces.images(), start_boxes(faces), f"{len(faces)} faces of {names}", model)


def _canvases(
    images: Sequence[np.ndarray], boxes: np.ndarray, source: str, model: Model | None
) -> BenchFaces:
    boxes = np.asarray(boxes)
    reduced = reduction_by(model, model.settings) if model else lambda box: 1.0
    canvases = on_canvases(images, boxes, reduced, SIDE)
    on_each = [canvas.box(box) for canvas, box in zip(canvases, boxes, strict=True)]
    pixels = np.stack([canvas.pixels for canvas in canvases])
    return BenchFaces(pixels, np.stack(on_each).astype(np.float32), source)
