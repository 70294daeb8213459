"""Cameras, heads and eyes in space."""

from __future__ import annotations

from numbers import Real
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxclnf.pytrees import pytree


@pytree
class Camera:
    """Focal lengths and principal point of a pinhole camera, in pixels."""

    fx: Float[Array, "*batch"]
    fy: Float[Array, "*batch"]
    cx: Float[Array, "*batch"]
    cy: Float[Array, "*batch"]

    @classmethod
    def default(cls, width: ArrayLike, height: ArrayLike) -> Camera:
        """Guess a camera from the size of its images, as OpenFace does: 500 pixels at 640 x 480, centred.

        Numbers may be Python's, or those of NumPy and JAX. Raises ValueError for sizes that are no numbers of
        pixels.
        """
        w, h = _pixels(width), _pixels(height)
        focal = (500 * w / 640 + 500 * h / 480) / 2
        return cls(*np.array([focal, focal, w / 2, h / 2], np.float32))

    @property
    def intrinsics(self) -> Float[Array, "*batch 4"]:
        return jnp.stack([self.fx, self.fy, self.cx, self.cy], axis=-1)


def _pixels(side: Any) -> float:
    """Give the width or height of images as a number, also of an array without axes."""
    is_scalar = isinstance(side, np.ndarray | Array) and side.ndim == 0 and not isinstance(side, Tracer)
    number = side.item() if is_scalar else side
    pixels = float(number) if isinstance(number, Real) else np.nan
    if not 0 < pixels < np.inf:
        raise ValueError(f"expected the width and height of images in pixels; got {side!r:.60}")
    return pixels


@pytree
class HeadPose:
    """Position and rotation of the head; the position is that of the middle of the model's mean shape."""

    translation: Float[Array, "*batch 3"]  # x right, y down, z away from the camera; millimetres
    rotation: Float[Array, "*batch 3"]  # Euler angles x, y, z, radians: R = Rx Ry Rz


@pytree
class EyeGaze:
    """Gaze of a face's two eyes; the one on the left of the image (landmarks 36 to 41) comes first."""

    directions: Float[Array, "*batch 2 3"]  # unit vectors in camera coordinates; (0, 0, -1): at the camera
    angles: Float[Array, "*batch 2"]  # of the mean direction, radians: towards the image's right, then down
    landmarks: Float[Array, "*batch 2 n_eye_points 2"]  # found by the eyes' own models, pixels
    landmarks_camera: Float[Array, "*batch 2 n_eye_points 3"]  # millimetres
