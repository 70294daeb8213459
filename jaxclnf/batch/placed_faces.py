"""A face on its way from a photo to a canvas, and its fit on the way back into the photo."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxclnf.batch.canvas import MARGIN, MIN_SIDE, Canvas, cut, usual_side
from jaxclnf.cache import keep
from jaxclnf.fitting.arguments import of_rgb
from jaxclnf.fitting.grey_range import check_brightness, is_real
from jaxclnf.ops.rotation import euler_to_matrix, matrix_to_euler
from jaxclnf.types import FitResult, PartFit

Fit = TypeVar("Fit", FitResult, PartFit)


class PlacedFace(NamedTuple):
    """One face to fit: its number, its canvas, and its box and photo's size for the way back."""

    index: int
    canvas: Canvas
    box: np.ndarray  # x, y, w, h in the photo
    photo_size: np.ndarray  # width, height


def on_canvas(
    index: int,
    image: np.ndarray,
    box: np.ndarray,
    reduced: Callable[[np.ndarray], float],
    range_known: bool = False,
) -> PlacedFace:
    """Place a face on a canvas that suits its box, of which ``reduced`` says how much smaller it is there.

    Raises ValueError for what is no grey image from 0 to 255, or no box; images of floats up to 1 are dark if
    the range is known from others.
    """
    _check(image, box)
    check_brightness(image, range_known)
    least = MIN_SIDE / (MARGIN * max(image.shape))  # for a face that fills its photo or more
    by = max(reduced(_numbers(box)), min(least, 1.0))
    canvas = _surroundings(image, box, _side(image, box, by), by)
    return PlacedFace(index, canvas, _in_float32(box), np.array(image.shape[::-1]))


def on_canvases(
    images: Sequence[np.ndarray],
    boxes: Sequence[np.ndarray] | np.ndarray,
    reduced: Callable[[np.ndarray], float],
    side: int | None = None,
) -> list[Canvas]:
    """Cut faces out of their photos onto canvases of one side: by default the largest that one needs."""
    faces = [(image, box, reduced(box)) for image, box in zip(images, boxes, strict=True)]
    side = side or max(_side(*face) for face in faces)
    return [_surroundings(image, box, side, by) for image, box, by in faces]


def _side(image: np.ndarray, box: np.ndarray, reduction: float) -> int:
    """Choose the canvas's side for a face's surroundings, ``reduction`` times as large as in the photo."""
    return usual_side(image, _numbers(_in_float32(box)), reduction)


def _surroundings(image: np.ndarray, box: np.ndarray, side: int, reduction: float) -> Canvas:
    """Cut a face's surroundings out of its photo; the result's status says that an invalid box is one."""
    roll = float(_numbers(box)[4]) if len(box) == 5 else 0.0
    return cut(image, _numbers(_in_float32(box)), roll, side, reduction)


def _in_float32(box: np.ndarray) -> np.ndarray:
    """Round a box to what a fit takes; a size beyond float32 becomes infinite, which makes it invalid.

    So does a roll that is not finite.
    """
    with np.errstate(over="ignore"):
        level = box[:4].astype(np.float32).astype(np.float64)
    return level if np.isfinite(box[4:]).all() else np.full_like(level, np.nan)


def _check(image: np.ndarray, box: np.ndarray) -> None:
    if image.ndim != 2 or 0 in image.shape or box.shape not in ((4,), (5,)):
        raise ValueError(
            "expected a grey image (height, width) and a box (x, y, width, height); "
            f"got an image of shape {image.shape} and a box of shape {box.shape}{of_rgb(image)}"
        )
    if not all(is_real(each.dtype) for each in (image, box)):
        raise ValueError(
            f"expected an image and a box of real numbers; got them of {image.dtype} and {box.dtype}"
        )


def _numbers(box: np.ndarray) -> np.ndarray:
    """Put zeros in the place of numbers that are not finite."""
    return np.nan_to_num(box.astype(np.float64), posinf=0, neginf=0)


def in_photo(canvas: Canvas, found: FitResult) -> FitResult:
    """Take a fit and its parts from a face's canvas to its photo."""
    parts = {name: _in_photo(canvas, part) for name, part in found.parts.items()}
    covariance = found.covariance
    if covariance is not None:
        covariance = canvas.spread_in_photo(np.asarray(covariance)).astype(np.asarray(covariance).dtype)
    return replace(_in_photo(canvas, found), parts=parts, covariance=covariance)


def _in_photo(canvas: Canvas, found: Fit) -> Fit:
    params, landmarks = found.params, np.asarray(found.landmarks)
    dtype = landmarks.dtype
    rotation = params.rotation
    if canvas.roll:
        rotation = turned_in_plane(rotation, np.asarray(canvas.roll, dtype))
    translation = canvas.in_photo(np.asarray(params.translation)).astype(dtype)
    scale = np.asarray(params.scale / canvas.scale, dtype)
    moved = replace(params, scale=scale, rotation=np.asarray(rotation), translation=translation)
    return replace(found, landmarks=canvas.in_photo(landmarks).astype(dtype), params=moved)


@keep
def turned_in_plane(
    rotation: Float[Array | np.ndarray, "3"], roll: Float[Array | np.ndarray, ""]
) -> Float[Array, "3"]:
    """Turn the Euler angles of a head by ``roll`` in the image plane."""
    in_plane = euler_to_matrix(jnp.stack([jnp.zeros_like(roll), jnp.zeros_like(roll), jnp.asarray(roll)]))
    return matrix_to_euler(in_plane @ euler_to_matrix(jnp.asarray(rotation)))
