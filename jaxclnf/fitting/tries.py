"""Tries: the state of a batch of fits between stages.

A batch has two leading axes: images, and the tries on each image (boxes times start rotations). Everything is
mapped over both; only the response maps are computed for all at once.
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxclnf.config import FitConfig
from jaxclnf.fitting.network_sight import Sight
from jaxclnf.ops.shape import shape_2d
from jaxclnf.types import PDM, FaceParams

T = TypeVar("T")


class Tries(NamedTuple):
    """The state of a batch between two stages; leading axes: images, tries."""

    params: FaceParams
    log_likelihood: Float[Array, "n_images n_tries"]
    landmark_likelihoods: Float[Array, "n_images n_tries n_points"]
    view: Int[Array, "n_images n_tries"]
    iterations: Int[Array, "n_images n_tries n_stages 2"]
    converged: Bool[Array, "n_images n_tries"]
    astray: Bool[Array, "n_images n_tries"]
    too_small: Bool[Array, "n_images n_tries"]
    off_shape: Float[Array, "n_images n_tries n_points 2"]  # landmarks from the shape's, image pixels
    sight: Sight | None = None  # by the convolutional experts so far, if there were any


def untried(starts: FaceParams, n_points: int, config: FitConfig) -> Tries:
    """Make the tries of starts before their first stage; leading axes: images, tries."""
    batch, dtype = starts.scale.shape, starts.scale.dtype
    return Tries(
        params=starts,
        log_likelihood=jnp.full(batch, -jnp.inf, dtype),
        landmark_likelihoods=jnp.zeros((*batch, n_points), dtype),
        view=jnp.zeros(batch, jnp.int32),
        iterations=jnp.zeros((*batch, len(config.stages), 2), jnp.int32),
        converged=jnp.zeros(batch, bool),
        astray=jnp.zeros(batch, bool),
        too_small=starts.scale < config.scale_margin * config.min_scale,
        off_shape=jnp.zeros((*batch, n_points, 2), dtype),
    )


def all_finite(params: FaceParams) -> Bool[Array, "*batch"]:
    """Tell of each face whether all its parameters are finite."""
    finite = [jnp.isfinite(a.reshape(*params.scale.shape, -1)).all(-1) for a in jax.tree.leaves(params)]
    return jnp.stack(finite).all(0)


def stand_ins(missing: Bool[Array, "*batch"], params: FaceParams) -> FaceParams:
    """Put a frontal face in the place of those that are ``missing``.

    What becomes of it is not used, but where there are no derivatives at the parameters of no face, these
    would be NaN for the whole batch, since zero times NaN is NaN.
    """
    nobody = replace(jax.tree.map(jnp.zeros_like, params), scale=jnp.ones_like(params.scale))
    return jax.tree.map(partial(where, missing), nobody, params)


def taken(tree: T, which: Int[Array, "n_faces n_kept"], n_starts: int) -> T:
    """Take tries by their numbers among those of each face, which are ``n_starts`` in a row."""

    def of_faces(a: Array) -> Array:
        of_face = a.reshape(-1, n_starts, *a.shape[2:])
        return jax.vmap(lambda row, k: row[k])(of_face, which).reshape(len(a), -1, *a.shape[2:])

    return jax.tree.map(of_faces, tree)


def where(mask: Bool[Array, "*batch"], a: Array, b: Array) -> Array:
    """Do `jnp.where` for arrays with the mask's axes and more."""
    return jnp.where(mask.reshape(mask.shape + (1,) * (a.ndim - mask.ndim)), a, b)


def shapes(pdm: PDM, params: FaceParams) -> Float[Array, "n_images n_tries n_points 2"]:
    """Compute the landmarks of tries; those of parameters that are not finite are NaN."""
    lost = ~all_finite(params)
    found = over_tries(partial(shape_2d, pdm))(stand_ins(lost, params))
    return where(lost, jnp.full_like(found, jnp.nan), found)


def over_tries(function):
    """Map ``function`` over images and tries as one axis, which traces and compiles faster than two."""

    def mapped(*arguments):
        batch = jax.tree.leaves(arguments)[0].shape[:2]
        flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), arguments)
        found = jax.vmap(function)(*flat)
        return jax.tree.map(lambda a: a.reshape(*batch, *a.shape[1:]), found)

    return mapped
