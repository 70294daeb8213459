"""Looking at faces with a convolutional expert: the mean and covariance of every landmark's place."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Num

from jaxclnf.fitting.map_moments import image_moments
from jaxclnf.ops.conv_network import mean_and_covariance, mirrored_moments
from jaxclnf.ops.shape import shape_2d
from jaxclnf.ops.similarity import inverse, similarity
from jaxclnf.types import PDM, ConvExperts, FaceParams

LOOK_TURN, LOOK_SIZE = 0.15, 0.08
"""Spread of several looks: radians, and the logarithm of the picture's size."""


class Sight(NamedTuple):
    """The means and covariances of the landmarks' response maps, in the image."""

    landmarks_img: Float[Array, "*batch n_points 2"]
    covariance: Float[Array, "*batch n_points 2 2"]  # pixels squared


class Window(NamedTuple):
    """The place of a picture in the image."""

    centre: Float[Array, "2"]
    img_from_ref: Float[Array, "2 2"]


def nothing_seen(batch: tuple[int, ...], n_points: int, dtype: DTypeLike) -> Sight:
    """Make the sight (NaN) of tries that no convolutional expert has looked at."""
    return Sight(
        jnp.full((*batch, n_points, 2), jnp.nan, dtype), jnp.full((*batch, n_points, 2, 2), jnp.nan, dtype)
    )


def window_on(pdm: PDM, experts: ConvExperts, params: FaceParams) -> Window:
    """Place the picture by the similarity that takes the upright mean face to the current landmarks."""
    mean = pdm.mean[:, :2]
    mean = mean - (mean.min(0) + mean.max(0))[None] / 2
    reference = experts.patch_scale * mean
    here = shape_2d(pdm, params)
    img_from_ref = inverse(similarity(here, reference))
    return Window(here.mean(0) - img_from_ref @ reference.mean(0), img_from_ref)


def look(
    pdm: PDM,
    experts: ConvExperts,
    images: Num[Array | np.ndarray, "n_images height width"],
    params: FaceParams,
    mirrored: bool,
    n_looks: int = 1,
) -> Sight:
    """Look with the network at the tries on every image (leading axes: images, tries).

    ``mirrored`` averages its maps with those of the mirrored picture. With several looks,
    each at a slightly turned and sized picture, their maps count as one mixture.
    """
    n_images, n_tries = params.scale.shape
    windows = jax.vmap(jax.vmap(partial(window_on, pdm, experts)))(params)
    ways = windows.img_from_ref[:, :, None] @ _apart(n_looks).astype(params.scale.dtype)[None, None]
    centres = jnp.repeat(windows.centre, n_looks, axis=1)
    looks = jnp.asarray(images), centres, ways.reshape(n_images, -1, 2, 2)
    moments = image_moments(experts.network, *looks, experts.side, 1 + mirrored)
    if mirrored:
        moments = (moments[:, :, 0] + mirrored_moments(moments[:, :, 1], experts.mirror)) / 2
    moments = moments.reshape(n_images, n_tries, n_looks, -1, 5)
    return jax.vmap(jax.vmap(partial(_together, experts.spread)))(windows.centre, ways, moments)


def _apart(n: int) -> Float[Array, "n 2 2"]:
    """Turns and sizes of ``n`` pictures, evenly on an ellipse about the upright one; one alone is upright."""
    if n == 1:
        return jnp.eye(2)[None]
    round_ = 2 * jnp.pi * jnp.arange(n) / n
    angle, size = LOOK_TURN * jnp.cos(round_), jnp.exp(LOOK_SIZE * jnp.sin(round_))
    cos, sin = size * jnp.cos(angle), size * jnp.sin(angle)
    return jnp.stack([cos, -sin, sin, cos], -1).reshape(n, 2, 2)


def _together(
    spread: Float[Array, ""],
    centre: Float[Array, "2"],
    ways: Float[Array, "n_looks 2 2"],
    moments: Float[Array, "n_looks n_points 5"],
) -> Sight:
    """Combine several looks at a face to the mean and covariance of their mixture."""
    means, covariances = mean_and_covariance(moments)
    offsets = means @ ways.swapaxes(1, 2)
    within = ways[:, None] @ covariances @ ways[:, None].swapaxes(2, 3)
    mean = offsets.mean(0)
    apart = offsets - mean[None]
    between = apart[..., :, None] * apart[..., None, :]
    return Sight(centre[None] + mean, spread * (within + between).mean(0))


def certainty_weights(
    covariance: Float[Array, "n_points 2 2"], factor: Float[Array, ""]
) -> Float[Array, " n_points"]:
    """Weigh each landmark by its inverse variance to the power of ``factor``, relative to the median."""
    variance = jnp.trace(covariance, axis1=-2, axis2=-1)
    return (jnp.median(variance) / variance) ** factor


def sight_likelihood(
    sight: Sight, landmarks_img: Float[Array, "n_points 2"], scale: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, " n_points"]]:
    """Log likelihood of landmarks under the maps' Gaussians, in model units: the mean, and each one's."""
    away = landmarks_img - sight.landmarks_img
    (xx, xy), (_, yy) = sight.covariance.transpose(1, 2, 0)
    determinant = xx * yy - xy**2
    x, y = away.T
    square = (yy * x**2 - 2 * xy * x * y + xx * y**2) / determinant
    area = 2 * jnp.pi * jnp.sqrt(determinant) / scale**2
    logs = -square / 2 - jnp.log(area)
    return logs.mean(), jnp.exp(logs)
