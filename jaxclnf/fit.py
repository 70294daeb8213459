"""Coarse-to-fine fitting of faces: stages, start rotations, batches.

Inside, a batch has two leading axes: images, and the tries on each image (boxes times start
rotations). Everything is mapped over both; only the response maps are computed for all at once.
"""

import math
from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num

from jaxclnf.nurlms import Settings, iterate, log_likelihood
from jaxclnf.ops.shape import shape_2d
from jaxclnf.pose import in_full_precision, params_from_box
from jaxclnf.responses import FEW, frame, image_responses
from jaxclnf.types import PDM, FaceParams, FitConfig, FitResult, Model, PatchExperts, Status

SCALE_MARGIN = 0.9
"""A scale is skipped when 0.9 of its pixels per model unit exceed the face's."""


class Tries(NamedTuple):
    """The state of a batch between stages; leading axes: images, tries."""

    params: FaceParams
    log_likelihood: Float[Array, "n_images n_tries"]
    landmark_likelihoods: Float[Array, "n_images n_tries n_points"]
    view: Int[Array, "n_images n_tries"]
    iterations: Int[Array, "n_images n_tries n_stages 2"]
    converged: Bool[Array, "n_images n_tries"]
    astray: Bool[Array, "n_images n_tries"]
    too_small: Bool[Array, "n_images n_tries"]


@jax.jit
def fit(
    model: Model,
    image: Num[Array | np.ndarray, "height width"],
    box: Float[Array | np.ndarray, "4"],
    config: FitConfig | None = None,
) -> FitResult:
    """Fit one face, started from its box.

    ``image`` is grey, 0..255, of any number type; ``box`` is x, y, width, height in its pixels. Without
    ``config`` the model's settings are taken. Every start rotation is tried and the likeliest result
    returned. A face that cannot be fitted says so in ``status``; its other fields then mean nothing.
    """
    return _first(fit_batch(model, image[None], box[None], config))


@jax.jit
@in_full_precision
def fit_batch(
    model: Model,
    images: Num[Array | np.ndarray, "*n_images height width"],
    boxes: Float[Array | np.ndarray, "n_faces 4"],
    config: FitConfig | None = None,
) -> FitResult:
    """Fit many faces: one box on each of ``n_faces`` images, or all boxes on a single image."""
    _check_batch(images, boxes)
    images, boxes = jnp.asarray(images), jnp.asarray(boxes, model.pdm.mean.dtype)
    config = _in_dtype_of(model, config)
    shared_image = images.ndim == 2
    starts = _starts(model, boxes, config)  # faces, starts
    if shared_image:
        images = images[None]
        starts = jax.tree.map(lambda a: a.reshape(1, -1, *a.shape[2:]), starts)
    n_starts = len(config.start_rotations)
    tries = _fit_tries(model, images, starts, config, n_starts)
    best = _best(tries, len(boxes))
    image_size = jnp.array(images.shape[:-3:-1], boxes.dtype)
    status = jax.vmap(box_status, in_axes=(0, None))(boxes, image_size)
    return _result(model, best, status)


@jax.jit
def fit_settings(
    model: Model,
    images: Num[Array | np.ndarray, "*n_images height width"],
    boxes: Float[Array | np.ndarray, "n_faces 4"],
    config: FitConfig,
    changes: dict[str, Float[Array | np.ndarray, "n_settings ..."]],
) -> FitResult:
    """Fit many faces under many settings; leading axes of the result: settings, faces.

    ``changes`` holds fields of ``config`` that are no static ones, with the values of every setting along
    a leading axis. What they leave the same, as the first stage's response maps, is computed once.
    """
    return jax.vmap(lambda change: fit_batch(model, images, boxes, replace(config, **change)))(changes)


@jax.jit
@in_full_precision
def fit_from(
    model: Model,
    image: Num[Array | np.ndarray, "height width"],
    params: FaceParams,
    config: FitConfig | None = None,
) -> FitResult:
    """Fit one face, started from parameters (of the frame before, say); start rotations are not used."""
    start = jax.tree.map(lambda a: a[None, None], params)
    tries = _fit_tries(model, jnp.asarray(image)[None], start, _in_dtype_of(model, config))
    return _first(_result(model, _best(tries, 1), jnp.zeros(1, jnp.int32)))


def _starts(model: Model, boxes: Float[Array, "n_faces 4"], config: FitConfig) -> FaceParams:
    """Parameters of every start rotation in every box."""
    by_rotation = jax.vmap(partial(params_from_box, model.pdm), in_axes=(None, 0))
    boxes = corrected_boxes(boxes, config.box_correction[None])
    return jax.vmap(by_rotation, in_axes=(0, None))(boxes, config.start_rotations)


def corrected_boxes(boxes: Float[Array, "n_faces 4"], by: Float[Array, "1 4"]) -> Float[Array, "n_faces 4"]:
    """Boxes moved and stretched as `FitConfig.box_correction` says."""
    size = boxes[:, 2:]
    growth = size * jnp.expm1(by[:, 2:])
    return boxes + jnp.concatenate([size * by[:, :2] - growth / 2, growth], axis=1)


def _fit_tries(
    model: Model, images: Array, starts: FaceParams, config: FitConfig, n_starts: int = 1
) -> Tries:
    """Every stage, for the tries on every image that get so far; ``n_starts`` in a row are one face's."""
    tries = _untried(model, starts, config)
    for i, scale in config.stages(len(model.experts)):
        experts = model.experts[scale]
        tries = _unless_skipped(experts, tries, _stage(model, experts, images, tries, config, i))
        n_kept = min([n_starts, *config.keep[i + 1 : i + 2]])
        if n_kept < n_starts:
            tries, n_starts = _likeliest(tries, n_starts, n_kept), n_kept
    return tries


def _stage(
    model: Model, experts: PatchExperts, images: Array, tries: Tries, config: FitConfig, i: int
) -> Tries:
    settings = _stage_settings(config, i, tries.view.shape)
    arguments = model.pdm, experts, images, tries.params, settings, config.min_scale
    after = _look_and_move(*arguments, config.windows[i], config.iterations, config.kernel)
    return after._replace(iterations=tries.iterations.at[:, :, i].set(after.iterations))


@partial(jax.jit, static_argnums=(6, 7, 8))  # stages of the same sizes are traced once
def _look_and_move(
    pdm: PDM,
    experts: PatchExperts,
    images: Array,
    params: FaceParams,
    settings: Settings,
    min_scale: Array,
    window: int,
    max_iterations: int,
    kernel: Literal["exact", "grid"],
) -> Tries:
    """Response maps about the current landmarks, then rigid and non-rigid steps on them."""
    faces = _over_tries(partial(frame, pdm, experts))(params)
    maps = image_responses(experts, images, faces, window)

    def steps(face, maps, params, settings):
        run = partial(iterate, max_iterations=max_iterations, kernel=kernel)
        rigid = run(pdm, face, maps, params, settings, rigid=True)
        full = run(pdm, face, maps, rigid.params, settings, rigid=False)
        likelihood, each = log_likelihood(face, maps, full.positions, settings.sigma)
        count = jnp.stack([rigid.iterations, full.iterations])
        too_small = full.params.scale < min_scale
        return Tries(full.params, likelihood, each, face.view, count, full.converged, full.astray, too_small)

    return _over_tries(steps)(faces, maps, params, settings)


def _unless_skipped(experts: PatchExperts, before: Tries, after: Tries) -> Tries:
    """The stage's outcome, but for faces too small for its scale or given up before."""
    skipped = before.too_small | (SCALE_MARGIN * experts.patch_scale > before.params.scale)
    return jax.tree.map(lambda a, b: jnp.where(_expand(skipped, a), a, b), before, after)


def _untried(model: Model, starts: FaceParams, config: FitConfig) -> Tries:
    batch, dtype, n_points = starts.scale.shape, starts.scale.dtype, model.pdm.n_points
    return Tries(
        params=starts,
        log_likelihood=jnp.full(batch, -jnp.inf, dtype),
        landmark_likelihoods=jnp.zeros((*batch, n_points), dtype),
        view=jnp.zeros(batch, jnp.int32),
        iterations=jnp.zeros((*batch, len(config.windows), 2), jnp.int32),
        converged=jnp.zeros(batch, bool),
        astray=jnp.zeros(batch, bool),
        too_small=starts.scale < SCALE_MARGIN * config.min_scale,
    )


def _stage_settings(config: FitConfig, i: int, batch: tuple[int, ...]) -> Settings:
    """The settings of a stage, an entry for every try of every image."""
    settings = Settings(
        reg_factor=config.reg_factor[..., i] * config.mode_stiffness,
        sigma=config.sigma[..., i],
        weight_factor=config.weight_factor[..., i],
        tolerance=config.tolerance,
        landmark_weights=config.landmark_weights,
    )
    return jax.tree.map(lambda s: jnp.broadcast_to(s, (*batch, *s.shape)), settings)


def _best(tries: Tries, n_faces: int) -> Tries:
    """The likeliest try of each face; leading axis: faces."""
    n_starts = tries.view.size // n_faces
    return jax.tree.map(lambda a: a.reshape(n_faces, *a.shape[2:]), _likeliest(tries, n_starts, 1))


def _likeliest(tries: Tries, n_starts: int, n_kept: int) -> Tries:
    """Of each ``n_starts`` tries in a row, the ``n_kept`` likeliest; ties keep their order."""
    flat = jax.tree.map(lambda a: a.reshape(-1, n_starts, *a.shape[2:]), tries)
    likelihood = jnp.where(flat.too_small | jnp.isnan(flat.log_likelihood), -jnp.inf, flat.log_likelihood)
    _, best = jax.lax.top_k(likelihood, n_kept)
    kept = jax.tree.map(lambda a: jax.vmap(lambda row, k: row[k])(a, best), flat)
    n_images = tries.view.shape[0]
    return jax.tree.map(lambda a: a.reshape(n_images, -1, *a.shape[2:]), kept)


def _result(model: Model, best: Tries, status: Int[Array, " n_faces"]) -> FitResult:
    finite = jnp.isfinite(best.params.scale) & jnp.isfinite(best.params.shape).all(-1)
    # A map that is no number moves nothing, but shows in the likelihood.
    finite &= ~jnp.isnan(best.log_likelihood)
    found = jnp.where(best.astray, Status.NOT_CONVERGED, Status.OK)
    found = jnp.where(best.too_small, Status.FACE_TOO_SMALL, found)
    found = jnp.where(finite, found, Status.NOT_FINITE)
    return FitResult(
        landmarks=jax.vmap(shape_2d, in_axes=(None, 0))(model.pdm, best.params),
        params=best.params,
        log_likelihood=best.log_likelihood,
        landmark_likelihoods=best.landmark_likelihoods,
        view=best.view,
        iterations=best.iterations,
        converged=best.converged,
        status=jnp.where(status == Status.OK, found, status).astype(jnp.int32),
    )


def box_status(box: Float[Array, "4"], image_size: Float[Array, "2"]) -> Int[Array, ""]:
    """Whether a box can start a fit on an image of ``image_size`` (width, height): a `Status`."""
    corner, size = box[:2], box[2:]
    valid = jnp.isfinite(box).all() & (size > 0).all()
    inside = (corner < image_size).all() & (corner + size > 0).all()
    return jnp.where(valid, jnp.where(inside, Status.OK, Status.BOX_OUTSIDE), Status.BOX_INVALID)


def _check_batch(images, boxes):
    if images.ndim not in (2, 3) or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(
            f"expected images (n, height, width) or one image (height, width) and boxes (n, 4); "
            f"got images {images.shape} and boxes {boxes.shape}"
        )
    if images.ndim == 3 and len(images) != len(boxes):
        raise ValueError(f"expected one box an image; got {len(images)} images and {len(boxes)} boxes")


def _in_dtype_of(model: Model, config: FitConfig | None) -> FitConfig:
    """The settings, without any those of the model, in the model's precision."""
    config = model.settings if config is None else config
    return jax.tree.map(lambda a: jnp.asarray(a, model.pdm.mean.dtype), config)


def _over_tries(function, *shared):
    """``function`` mapped over images and tries: as one axis, which traces and compiles faster than two.

    On a CPU a few tries go one after the other, as fast as together: their programs differ less with their
    number, which stages that drop tries compile faster for.
    """

    def of_one(one):
        return function(*shared, *one)

    def mapped(*arguments):
        batch = jax.tree.leaves(arguments)[0].shape[:2]
        flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), arguments)
        one_by_one = jax.default_backend() == "cpu" and math.prod(batch) < FEW
        found = jax.lax.map(of_one, flat) if one_by_one else jax.vmap(of_one)(flat)
        return jax.tree.map(lambda a: a.reshape(*batch, *a.shape[1:]), found)

    return mapped


def _expand(mask, like):
    return mask.reshape(mask.shape + (1,) * (like.ndim - mask.ndim))


def _first(result: FitResult) -> FitResult:
    return jax.tree.map(lambda a: a[0], result)
