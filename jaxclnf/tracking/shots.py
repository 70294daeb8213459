"""Cuts of a film, after which the frames show something else."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

_SIZE = 32, 24
_ENOUGH = 96  # pixels of a frame's shorter side
_ALIKE = 0.5  # correlation of two frames, and ...
_APART = 20.0  # ... mean difference of their grey levels, beyond which a cut lies between them

Sketch = Float[np.ndarray, "24 32"]


def sketch(frame: UInt8[np.ndarray, "height width"]) -> Sketch:
    """Shrink a frame so far that only a cut, and no motion, changes it much."""
    step = max(min(frame.shape) // _ENOUGH, 1)  # pixels between are left out: this is done for every frame
    return cv2.resize(frame[::step, ::step], _SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)


def is_cut(before: Sketch, after: Sketch) -> bool:
    """Tell whether two consecutive frames are from different shots."""
    if np.abs(before - after).mean() < _APART:
        return False
    a, b = before - before.mean(), after - after.mean()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return norm == 0 or float(np.sum(a * b)) / norm < _ALIKE
