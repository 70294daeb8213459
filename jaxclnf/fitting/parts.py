"""Refinement by parts of a face, fitted after the whole: OpenFace's hierarchical models.

Source: OpenFace's `CLNF::DetectLandmarks`.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxclnf.config import FitConfig
from jaxclnf.fitting.face_params import OPENFACE, OPENFACE2, Search, params_from_landmarks, params_near
from jaxclnf.fitting.stages import fit_tries, has_pixels
from jaxclnf.fitting.tries import Tries, over_tries, shapes, where
from jaxclnf.types import PDM, FaceParams, Model, Part, PartFit


class Refined(NamedTuple):
    """Tries with their fitted parts; leading axes: images, tries."""

    tries: Tries
    landmarks: Float[Array, "n_images n_tries n_points 2"]  # with those of merged parts
    votes: Float[Array, "n_images n_tries"]  # the parts' likelihoods of a try; NaN if a part was too small
    parts: dict[str, PartFit]


def refine_parts(model: Model, images: Array, tries: Tries, config: FitConfig) -> Refined:
    """Fit the model's parts that ``config.parts`` names, in all remaining tries.

    A merged part's landmarks replace the whole's, whose parameters are then found anew from all landmarks.
    """
    parts = [part for part in model.parts if part.name in config.parts]
    landmarks = _landmarks(model.pdm, tries, config)
    if not parts:
        return Refined(tries, landmarks, jnp.zeros_like(tries.log_likelihood), {})
    return _refined(model.pdm, images, tries, landmarks, parts, config)


def _refined(
    pdm: PDM, images: Array, tries: Tries, landmarks: Array, parts: list[Part], config: FitConfig
) -> Refined:
    """Merge these fitted parts into tries and landmarks."""
    fitted: dict[str, PartFit] = {}
    merged, votes = landmarks, jnp.zeros_like(tries.log_likelihood)
    large = jnp.zeros_like(tries.too_small)
    rotations = tries.params.rotation
    near = params_near
    if config.on_pdm:
        near = partial(_as_openface, search=OPENFACE2 if config.as_openface2 else OPENFACE)
    for part in parts:
        settings = config.parts[part.name]
        enough = has_pixels(part.model.experts[0], tries.params, settings)
        starts = over_tries(partial(_start, part, near))(landmarks, rotations)
        fitted[part.name] = own = _fit_part(part, images, starts, enough, settings)
        if settings.merged:
            shared = own.landmarks[:, :, jnp.array(part.part_points)]
            merged = merged.at[:, :, jnp.array(part.main_points)].set(shared)
            votes = votes + _vote(settings, own.log_likelihood, enough)
            large |= enough
    # A part too small to be fitted follows the whole, and counts only where another part was fitted.
    large &= jnp.isfinite(merged).all((-2, -1))
    merged = where(large, merged, landmarks)
    refound = over_tries(partial(near, pdm))(merged, rotations)
    params = jax.tree.map(partial(where, large), refound, tries.params)
    if config.on_pdm:
        merged = shapes(pdm, params)
    return Refined(tries._replace(params=params), merged, votes, fitted)


def _vote(settings: FitConfig, log_likelihood: Array, enough: Bool[Array, "n_images n_tries"]) -> Array:
    """Weigh a part's likelihoods; a part that too few pixels show, or that broke down, has no vote (NaN)."""
    counts = enough & jnp.isfinite(log_likelihood)
    return jnp.where(counts, settings.vote * jnp.where(counts, log_likelihood, 0), jnp.nan)


def _as_openface(
    pdm: PDM, landmarks_img: Array, rotation: Array, visible: Array | None = None, *, search: Search
) -> FaceParams:
    """Search as OpenFace does, in place of `params_near`: from the frontal face, and stopped early."""
    return params_from_landmarks(pdm, landmarks_img, visible, search)


def _start(
    part: Part,
    near: Callable[..., FaceParams],
    whole: Float[Array, "n_points 2"],
    rotation: Float[Array, "3"],
) -> FaceParams:
    """Start a part from the landmarks that it shares with the whole."""
    pdm, shared = part.model.pdm, jnp.array(part.part_points)
    visible = jnp.zeros(pdm.n_points, bool).at[shared].set(True)
    own = jnp.zeros((pdm.n_points, 2), whole.dtype).at[shared].set(whole[jnp.array(part.main_points)])
    return near(pdm, own, rotation, visible)


def _fit_part(
    part: Part, images: Array, starts: FaceParams, enough: Bool[Array, "n_images n_tries"], config: FitConfig
) -> PartFit:
    """Fit a part of every try, where ``enough`` pixels show it."""
    tries = fit_tries(part.model, images, starts, config)
    still = jnp.zeros_like(tries.off_shape)
    params, off = jax.tree.map(partial(where, enough), (tries.params, tries.off_shape), (starts, still))
    tries = tries._replace(params=params, off_shape=off)
    return PartFit(_landmarks(part.model.pdm, tries, config), params, tries.log_likelihood)


def _landmarks(pdm: PDM, tries: Tries, config: FitConfig) -> Float[Array, "n_images n_tries n_points 2"]:
    """Give the landmarks of tries: those of their shapes, and as far off them as their freedom led."""
    of_shapes = shapes(pdm, tries.params)
    return of_shapes if config.on_pdm else of_shapes + tries.off_shape
