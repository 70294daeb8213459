"""Non-uniform regularised landmark mean-shift: the iterations on fixed response maps.

Source: OpenFace's `NU_RLMS`; Baltrušaitis, Robinson & Morency, "Constrained Local Neural Fields for
Robust Facial Landmark Detection in the Wild", 2013.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxclnf.fitting.map_frames import MapFrame
from jaxclnf.ops.gauss_newton import (
    basis_products,
    gauss_newton_step,
    normal_equations,
    rigid_normal_equations,
)
from jaxclnf.ops.mean_shift import likelihoods, mean_shift
from jaxclnf.ops.shape import clamp, shape_2d, update
from jaxclnf.types import PDM, FaceParams

MAX_LAST_MOVE = 1.0
"""RMS move of the landmarks, in reference pixels, above which a fit has not settled."""

INVISIBLE = -1e8
"""Likelihood of landmarks that the view cannot see, as in OpenFace."""


class StageSettings(NamedTuple):
    """The traced settings of one stage."""

    reg_factor: Float[Array, "*n_modes"]
    sigma: Float[Array, ""]
    weight_factor: Float[Array, ""]
    tolerance: Float[Array, ""]
    landmark_weights: Float[Array, "*n_points"] | float = 1.0
    turn_limit: Float[Array, ""] | float = np.pi / 2
    freedom: Float[Array, ""] | float = 0.0


class Anchors(NamedTuple):
    """Places that attract the landmarks beside their mean shifts."""

    landmarks_img: Float[Array, "n_points 2"]
    share: Float[Array, ""]  # of a landmark's shift that leads to its anchor: 0 none, 1 all


class Iterated(NamedTuple):
    """The parameters after the iterations, and how the iterations went."""

    params: FaceParams
    positions: Float[Array, "n_points 2"]  # in the maps, at the start of the last iteration
    shifts: Float[Array, "n_points 2"]  # the mean shifts from there
    iterations: Int[Array, ""]
    converged: Bool[Array, ""]  # the last step was within the tolerance
    astray: Bool[Array, ""]  # the last step moved the landmarks by more than `MAX_LAST_MOVE`


def landmark_weights(face: MapFrame, settings: StageSettings) -> Float[Array, " n_points"]:
    """Weigh landmarks by their own weights and, unless the factor is 0, by patch confidence times factor."""
    factor = settings.weight_factor
    weights = jnp.where(factor > 0, factor * face.confidence, 1) * settings.landmark_weights
    return jnp.where(face.visible, weights, 0)


def positions_in_maps(
    face: MapFrame, landmarks_img: Float[Array, "n_points 2"], window: int
) -> Float[Array, "n_points 2"]:
    """Express landmarks in the pixels of their response maps, x then y."""
    return (landmarks_img - face.base) @ face.ref_from_img.T + (window - 1) / 2


def newton_step(
    pdm: PDM,
    face: MapFrame,
    params: FaceParams,
    shifts_ref: Float[Array, "n_points 2"],
    settings: StageSettings,
    products: Float[Array, "6 n_modes n_modes"] | None,
    anchors: Anchors | None = None,
) -> FaceParams:
    """Do the Gauss-Newton step that follows mean shifts; returns the clamped parameters.

    ``products`` are the `basis_products` of the landmarks' weights; without them the step is rigid.
    """
    weights = landmark_weights(face, settings)
    shifts_img = shifts_ref @ face.img_from_ref.T
    if anchors is not None:
        shifts_img += anchors.share * (anchors.landmarks_img - shape_2d(pdm, params) - shifts_img)
    return _solved(pdm, params, shifts_img, weights, settings, products)


def _solved(
    pdm: PDM,
    params: FaceParams,
    shifts_img: Float[Array, "n_points 2"],
    weights: Float[Array, " n_points"],
    settings: StageSettings,
    products: Float[Array, "6 n_modes n_modes"] | None,
) -> FaceParams:
    """Solve for the parameters after the landmarks' shifts, and clamp them."""
    if products is None:
        delta = gauss_newton_step(*rigid_normal_equations(pdm, params, shifts_img, weights))
        delta = jnp.concatenate([delta, jnp.zeros_like(params.shape)])
    else:
        delta = gauss_newton_step(
            *normal_equations(pdm, params, shifts_img, weights, settings.reg_factor, products)
        )
    return clamp(pdm, update(params, delta), settings.turn_limit)


def iterate(
    pdm: PDM,
    face: MapFrame,
    maps: Float[Array, "n_points window window"],
    params: FaceParams,
    settings: StageSettings,
    max_iterations: int,
    kernel: Literal["exact", "grid"],
    rigid: bool,
    anchors: Anchors | None = None,
) -> Iterated:
    """Do up to ``max_iterations`` steps of the rigid or of all parameters, until the shape rests.

    The loop has a fixed length and leaves a face at rest as it is, so that the faces of a batch may end at
    different steps and the loop has a reverse derivative.
    """

    weights = landmark_weights(face, settings)
    products = None if rigid else basis_products(pdm.basis, weights)

    def body(i, state):
        params, before, positions, shifts, count, resting = state
        shape = shape_2d(pdm, params)
        resting = resting | ((i > 0) & (_distance(shape, before) < settings.tolerance))
        here = positions_in_maps(face, shape, maps.shape[-1])
        asked = mean_shift(maps, here, settings.sigma, kernel)
        moved = newton_step(pdm, face, params, asked, settings, products, anchors)
        new = (moved, shape, here, asked, count + 1)
        old = (params, before, positions, shifts, count)
        return *jax.tree.map(lambda a, b: jnp.where(resting, a, b), old, new), resting

    zeros = jnp.zeros_like(face.base)
    start = (params, zeros, zeros, zeros, jnp.int32(0), jnp.bool_(False))
    params, before, positions, shifts, count, resting = jax.lax.fori_loop(0, max_iterations, body, start)
    last_move = _distance(shape_2d(pdm, params), before)
    reference_pixel = jnp.sqrt(len(before) / jnp.linalg.det(face.ref_from_img))
    astray = last_move > MAX_LAST_MOVE * reference_pixel
    return Iterated(params, positions, shifts, count, resting | (last_move < settings.tolerance), astray)


def approach(
    pdm: PDM,
    targets_img: Float[Array, "n_points 2"],
    weights: Float[Array, " n_points"],
    params: FaceParams,
    settings: StageSettings,
    n_steps: int,
    rigid: bool,
) -> FaceParams:
    """Do Gauss-Newton steps towards fixed places, as mean shifts over whole maps would be."""
    products = None if rigid else basis_products(pdm.basis, weights)

    def body(_, params):
        return _solved(pdm, params, targets_img - shape_2d(pdm, params), weights, settings, products)

    return jax.lax.fori_loop(0, n_steps, body, params)


def off_shape(
    face: MapFrame,
    asked: Float[Array, "n_points 2"],
    landmarks_img: Float[Array, "n_points 2"],
    window: int,
    freedom: Float[Array, ""] | float,
) -> Float[Array, "n_points 2"]:
    """Tell how far landmarks follow, from the shape's, to where mean shifts ``asked`` them in the maps."""
    left = asked - positions_in_maps(face, landmarks_img, window)
    return freedom * jnp.where(face.visible[:, None], left @ face.img_from_ref.T, 0)


def log_likelihood(
    face: MapFrame,
    maps: Float[Array, "n_points window window"],
    positions: Float[Array, "n_points 2"],
    sigma: Float[Array, ""],
) -> tuple[Float[Array, ""], Float[Array, " n_points"]]:
    """Mean log likelihood of the visible landmarks, and each landmark's likelihood."""
    each = likelihoods(maps, positions, sigma)
    logs = jnp.where(face.visible, jnp.log(each + 1e-8), 0)
    mean = logs.sum() / jnp.maximum(face.visible.sum(), 1).astype(logs.dtype)
    return mean, jnp.where(face.visible, each, INVISIBLE)


def _distance(a, b):
    square = jnp.sum((a - b) ** 2)
    # The root's derivative at zero would be infinite.
    return jnp.sqrt(jnp.maximum(square, jnp.finfo(square.dtype).tiny))
