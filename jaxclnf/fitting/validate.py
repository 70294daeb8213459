"""Validation of fits by OpenFace 2's validator: whether the landmarks are on a face.

Source: OpenFace's `LandmarkDetectionValidator.cpp`.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from jaxclnf.fitting.arguments import check_images, check_kind
from jaxclnf.fitting.full_precision import in_full_precision
from jaxclnf.fitting.grey_range import is_real
from jaxclnf.fitting.map_frames import nearest_view
from jaxclnf.ops.convolution import column_major, correlate, max_pool, mean_pool
from jaxclnf.ops.warp import region, warp
from jaxclnf.types import Validation, Validator

BOUNDARY = 0.725
"""Certainty above which OpenFace calls a fit successful."""


def validate(
    validator: Validator,
    image: Num[Array | np.ndarray, "height width"],
    landmarks: Num[Array | np.ndarray, "n_points 2"] | Sequence[Any],
    rotation: Num[Array | np.ndarray, "3"] | Sequence[Any],
) -> Validation:
    """Judge one face's landmarks (pixels) on a grey image, 0..255; ``rotation`` is the head's, Euler radians.

    ``vmap`` for more faces. Raises ValueError for arguments of other kinds or shapes, and for other numbers
    of landmarks than the validator judges.
    """
    check_kind("validator", validator, Validator)
    check_images(image, 2)
    points, angles = _numbers("landmarks", landmarks), _numbers("a rotation", rotation)
    if points.ndim != 2 or points.shape[1] != 2 or angles.shape != (3,):
        raise ValueError(
            "expected the landmarks (n_points, 2) and the rotation (3,) of one face; "
            f"got {points.shape} and {angles.shape}: jax.vmap takes many"
        )
    if len(points) != validator.n_points:
        raise ValueError(
            f"expected the {validator.n_points} landmarks that the validator judges; got {len(points)}"
        )
    dtype = validator.mean.dtype
    return _validate(validator, image, jnp.asarray(points, dtype), jnp.asarray(angles, dtype))


def _numbers(name: str, values: Any) -> Any:
    """Make an array of what may be a list; raises ValueError unless its values are real numbers."""
    try:
        array = values if isinstance(values, jax.Array) else np.asarray(values)
    except ValueError:  # of rows of unlike lengths
        array = np.array(None)
    if not is_real(array.dtype):
        raise ValueError(f"expected {name} as an array of real numbers; got {values!r:.60}")
    return array


@jax.jit
@in_full_precision
def _validate(
    validator: Validator,
    image: Num[Array, "height width"],
    landmarks: Float[Array, "n_points 2"],
    rotation: Float[Array, "3"],
) -> Validation:
    view = nearest_view(validator.view_centres, rotation)
    seen: Validator = jax.tree.map(lambda a: a[view], validator)
    picture = warp(image, landmarks, seen.triangles, seen.alpha, seen.beta, seen.triangle_of, seen.origin)
    scores = network(seen, normalised_face(seen, picture))
    low, high = region(landmarks, image.shape)
    outside = (high - low <= 1).any()
    return Validation(jnp.where(outside, 0, _certainty(validator, scores)), scores, view)


def _certainty(validator: Validator, scores: Float[Array, " n_scores"]) -> Float[Array, ""]:
    """Turn scores into a certainty from 0 to 1: that of the highest score, or in 2016's the only score."""
    if validator.older:
        return jax.nn.sigmoid(-scores[0])
    return 0.975 - 0.05 * jnp.argmax(scores).astype(scores.dtype)


def normalised_face(seen: Validator, picture: Float[Array, "rows cols"]) -> Float[Array, "rows cols"]:
    """Normalise the face by its own brightness and contrast, then by the training faces'; 0 outside it.

    ``seen`` is a validator's one view.
    """
    inside = seen.triangle_of >= 0
    count = inside.sum().astype(picture.dtype)
    centred = jnp.where(inside, picture - jnp.where(inside, picture, 0).sum() / count, 0)
    deviation = jnp.sqrt(jnp.sum(centred**2) / count)
    own = centred / jnp.where(deviation > 0, deviation, 1)
    return jnp.where(inside, (own - seen.mean) / seen.deviation, 0)


def network(seen: Validator, picture: Float[Array, "rows cols"]) -> Float[Array, " n_scores"]:
    """Compute a normalised picture's scores: convolutions with activation and pooling, then full layers."""
    maps = picture[None]
    bent, pool = (jax.nn.sigmoid, mean_pool) if seen.older else (jax.nn.relu, max_pool)
    for kernels, biases in zip(seen.kernels, seen.kernel_biases, strict=True):
        maps = pool(bent(correlate(maps, kernels, biases)))
    values = column_major(maps)
    *hidden, last = zip(seen.weights, seen.weight_biases, strict=True)
    for weights, biases in hidden:
        values = jax.nn.relu(values @ weights + biases)
    return values @ last[0] + last[1]


def certainties(
    validator: Validator, images: Sequence[np.ndarray], landmarks: ArrayLike, rotations: ArrayLike
) -> Float[np.ndarray, " n_faces"]:
    """Compute the certainty of each face's landmarks on its grey image, which may be of any size."""
    points, turned = (np.asarray(a, validator.mean.dtype) for a in (landmarks, rotations))
    faces = zip(images, points, turned, strict=True)
    found = [validate(validator, *face_of(image, own), rotation).certainty for image, own, rotation in faces]
    return np.array(jax.device_get(found), np.float64)


def face_of(
    image: Num[np.ndarray, "height width"], landmarks: Float[np.ndarray, "n_points 2"]
) -> tuple[Num[np.ndarray, "side side"], Float[np.ndarray, "n_points 2"]]:
    """Cut out the part of an image that `validate` needs, in one of few sizes, with the landmarks in it.

    The result is the same; photos of all sizes share a few compiled programs.
    """
    low, high = (np.asarray(a) for a in region(jnp.asarray(landmarks), image.shape))
    size = np.maximum(high - low, 0)
    if (size <= 1).any():
        return np.zeros((64, 64), image.dtype), np.full_like(landmarks, -1e6)  # outside of this one as well
    side = max(64, 1 << int(size.max() - 1).bit_length())
    face = np.zeros((side, side), image.dtype)
    face[: size[1], : size[0]] = image[low[1] : low[1] + size[1], low[0] : low[0] + size[0]]
    return face, landmarks - low.astype(landmarks.dtype)
