"""What a convolutional expert sees of faces: where each landmark is and how far that can be trusted."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Num

from jaxclnf.ops.network import logits, moments, normalised
from jaxclnf.ops.pyramid import Pyramid, pyramid, sample_picture
from jaxclnf.ops.shape import shape_2d
from jaxclnf.ops.similarity import inverse, similarity
from jaxclnf.types import PDM, ConvExperts, FaceParams


class Sight(NamedTuple):
    """Means and covariances of landmarks' response maps, in the image."""

    landmarks_img: Float[Array, "*batch n_points 2"]
    covariance: Float[Array, "*batch n_points 2 2"]  # pixels squared


class Window(NamedTuple):
    """Where a picture lies in the image."""

    centre: Float[Array, "2"]
    img_from_ref: Float[Array, "2 2"]


def nothing_seen(batch: tuple[int, ...], n_points: int, dtype: DTypeLike) -> Sight:
    """The sight of tries that no convolutional expert has looked at."""
    return Sight(
        jnp.full((*batch, n_points, 2), jnp.nan, dtype), jnp.full((*batch, n_points, 2, 2), jnp.nan, dtype)
    )


def window_on(pdm: PDM, experts: ConvExperts, params: FaceParams) -> Window:
    """The picture's place: the similarity that takes the upright mean face to the current landmarks."""
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
) -> Sight:
    """What the network sees of the tries on every image (leading axes: images, tries).

    ``mirrored`` averages its maps with those of the mirrored picture.
    """
    n_images, n_tries = params.scale.shape
    flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), params)
    which = jnp.repeat(jnp.arange(n_images, dtype=jnp.int32), n_tries)
    of = pyramid(images, params.scale.dtype)
    one = partial(_look_at_one, pdm, experts, of, mirrored)
    # One picture's layers stay in a CPU's cache; other processors want many at once.
    sight = jax.lax.platform_dependent(
        which, flat, cpu=lambda *faces: jax.lax.map(lambda face: one(*face), faces), default=jax.vmap(one)
    )
    return jax.tree.map(lambda a: a.reshape(n_images, n_tries, *a.shape[1:]), sight)


def _look_at_one(
    pdm: PDM, experts: ConvExperts, of: Pyramid, mirrored: bool, which: Int[Array, ""], params: FaceParams
) -> Sight:
    window = window_on(pdm, experts, params)
    picture = sample_picture(of, which, window.centre, window.img_from_ref, experts.side)
    pictures = normalised(picture[None])
    if mirrored:
        pictures = jnp.concatenate([pictures, pictures[:, :, ::-1]])
    found = logits(experts.network, pictures)
    maps = jax.nn.softmax(found.reshape(len(found), -1, found.shape[-1]), axis=1).reshape(found.shape)
    if mirrored:
        maps = (maps[:1] + maps[1:, :, ::-1][..., jnp.array(experts.mirror)]) / 2
    means, covariance = moments(maps[0], experts.side)
    offsets = means - (experts.side - 1) / 2
    turned = window.img_from_ref[None] @ covariance @ window.img_from_ref.T[None]
    return Sight(window.centre[None] + offsets @ window.img_from_ref.T, experts.spread * turned)


def certainty_weights(
    covariance: Float[Array, "n_points 2 2"], factor: Float[Array, ""]
) -> Float[Array, " n_points"]:
    """What each landmark weighs: the inverse of its variance to the power of ``factor``, 1 at the median."""
    variance = jnp.trace(covariance, axis1=-2, axis2=-1)
    return (jnp.median(variance) / variance) ** factor


def sight_likelihood(
    sight: Sight, landmarks_img: Float[Array, "n_points 2"], scale: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, " n_points"]]:
    """Mean log likelihood of landmarks under the maps' Gaussians, and each one's, a squared model unit."""
    away = landmarks_img - sight.landmarks_img
    (xx, xy), (_, yy) = sight.covariance.transpose(1, 2, 0)
    determinant = xx * yy - xy**2
    x, y = away.T
    square = (yy * x**2 - 2 * xy * x * y + xx * y**2) / determinant
    area = 2 * jnp.pi * jnp.sqrt(determinant) / scale**2
    logs = -square / 2 - jnp.log(area)
    return logs.mean(), jnp.exp(logs)
