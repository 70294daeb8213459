"""Fitting one face or many: start rotations in every box, stages, parts of the face, the best try."""

from collections.abc import Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from jaxclnf.cache import keep_checked
from jaxclnf.config import FitConfig
from jaxclnf.fitting.alike import alike, alike_batch
from jaxclnf.fitting.arguments import (
    check_batch,
    check_fit,
    check_images,
    check_kinds,
    check_one_start_an_image,
    check_params,
    in_one_array,
    in_one_dtype,
)
from jaxclnf.fitting.box_starts import box_status, sound_boxes, starts_in_boxes
from jaxclnf.fitting.choose import Chosen, choose
from jaxclnf.fitting.face_params import box_from_params
from jaxclnf.fitting.full_precision import in_full_precision
from jaxclnf.fitting.grey_range import from_0_to_1
from jaxclnf.fitting.network_sight import Sight
from jaxclnf.fitting.parts import refine_parts
from jaxclnf.fitting.stacked_changes import check_changes
from jaxclnf.fitting.stages import fit_tries
from jaxclnf.fitting.tries import Tries, all_finite, stand_ins, where
from jaxclnf.fitting.visibility import visibility
from jaxclnf.types import PDM, FaceParams, FitResult, Model, Status

Rows = Sequence[Num[Array | np.ndarray, "..."]]
"""Images or boxes one by one, of one shape."""


@keep_checked(check_fit, alike)
def fit(
    model: Model,
    image: Num[Array | np.ndarray, "height width"],
    box: Float[Array | np.ndarray, "4"],
    config: FitConfig | None = None,
) -> FitResult:
    """Fit one face, started from its box.

    ``image`` is grey, 0..255, of any number type; ``box`` is x, y, width, height in its pixels. Without
    ``config`` the model's settings are taken. Every start rotation is tried and the likeliest result
    returned, or with a ``temperature`` their average. If a face cannot be fitted, ``status`` says why and the
    other fields have no meaning. The first image of every size waits some seconds for the compiler:
    `jaxclnf.fit_faces` brings photos of many sizes to a few. Raises ValueError for grey beyond 512 and for
    floats up to 1, unless they are whole numbers, as of a nearly black photo; these, and all within functions
    of JAX and on GPUs, where values are not looked at, have the status `Status.TOO_DARK`.
    """
    image, box = jnp.asarray(image), jnp.asarray(box)
    check_images(image, 2)
    return _first(fit_batch(model, image[None], box[None], config))


@keep_checked(check_fit, alike_batch)
@in_full_precision
def fit_batch(
    model: Model,
    images: Num[Array | np.ndarray, "*n_images height width"] | Rows,
    boxes: Float[Array | np.ndarray, "n_faces 4"] | Rows,
    config: FitConfig | None = None,
) -> FitResult:
    """Fit many faces: one box on each of ``n_faces`` images, or all boxes on a single image.

    No boxes, also as an empty list, give a result of no faces. An image of floats up to 1 among brighter ones
    is taken for a dark one: its faces have the status `Status.TOO_DARK`. A face that cannot be fitted, such
    as one of a padded box of zeros, leaves the others and their derivatives alone. Pixels that are not
    finite, where a face is looked for, make the derivatives of the whole batch NaN: put numbers there first.
    """
    check_kinds(model, config)
    images, boxes = in_one_array(images), in_one_array(boxes)
    check_batch(images, boxes)
    boxes = boxes.astype(model.pdm.mean.dtype)
    if not len(boxes):
        return _of_no_faces(model, images, config)
    model, config = in_one_dtype(model, config)
    image_size = jnp.array(images.shape[:-3:-1], boxes.dtype)
    status = jax.vmap(box_status, in_axes=(0, None))(boxes, image_size)
    starts = starts_in_boxes(model.pdm, sound_boxes(boxes, status), config)
    return _fit_starts(model, images, starts, status, config)


def _of_no_faces(model: Model, images: Array, config: FitConfig | None) -> FitResult:
    """Make the result of no faces, with the shapes of a face's result."""
    image = jax.ShapeDtypeStruct((1, *images.shape[-2:]), images.dtype)
    box = jax.ShapeDtypeStruct((1, 4), model.pdm.mean.dtype)
    one = jax.eval_shape(fit_batch, model, image, box, config)
    return jax.tree.map(lambda a: jnp.zeros((0, *a.shape[1:]), a.dtype), one)


def _check_settings(model: Model, images: object, boxes: object, config: object, changes: object) -> None:
    check_fit(model, images, boxes, config)
    check_changes(config if isinstance(config, FitConfig) else model.settings, changes)


@keep_checked(_check_settings, alike_batch)
def fit_settings(
    model: Model,
    images: Num[Array | np.ndarray, "*n_images height width"] | Rows,
    boxes: Float[Array | np.ndarray, "n_faces 4"] | Rows,
    config: FitConfig | None,
    changes: Mapping[str, Num[Array | np.ndarray, "n_settings ..."] | Sequence],
) -> FitResult:
    """Fit many faces under many settings; leading axes of the result: settings, faces.

    ``changes`` holds settings that are not static, by the names of `FitConfig.changed`, with the values of
    each setting along a leading axis; ``config`` the others, None for the model's. Whatever does not depend
    on the changes, as the first stage's response maps, is computed once. Raises ValueError for static
    settings, unlike numbers of values, and values that a setting cannot have.
    """
    images, boxes = in_one_array(images), in_one_array(boxes)
    config = model.settings if config is None else config
    stacked = {name: in_one_array(rows) for name, rows in changes.items()}
    return jax.vmap(lambda change: fit_batch(model, images, boxes, config.changed(change)))(stacked)


@keep_checked(check_fit, alike)
def fit_from(
    model: Model,
    image: Num[Array | np.ndarray, "height width"],
    params: FaceParams,
    config: FitConfig | None = None,
) -> FitResult:
    """Fit one face, started from parameters, such as the previous frame's; start rotations are not used.

    If less than a hundredth of the box of their landmarks lies on the image, it ends as `Status.BOX_OUTSIDE`.
    """
    check_images(image, 2)
    check_params(model, params)
    start = jax.tree.map(lambda a: jnp.asarray(a)[None], params)
    return _first(fit_batch_from(model, image[None], start, config))


@keep_checked(check_fit, alike_batch)
@in_full_precision
def fit_batch_from(
    model: Model,
    images: Num[Array | np.ndarray, "n_faces height width"] | Rows,
    params: FaceParams,
    config: FitConfig | None = None,
) -> FitResult:
    """Fit many faces, each on its own image, started from its row of ``params``."""
    check_kinds(model, config)
    images = in_one_array(images)
    check_params(model, params)
    check_one_start_an_image(images, params)
    if not len(images):
        return _of_no_faces(model, images, config)
    model, config = in_one_dtype(model, config)
    params = jax.tree.map(lambda a: jnp.asarray(a, model.pdm.mean.dtype), params)
    image_size = jnp.array(images.shape[:-3:-1], model.pdm.mean.dtype)
    status = jax.vmap(partial(_start_status, model.pdm, image_size))(params)
    starts = jax.tree.map(lambda a: a[:, None], stand_ins(status != Status.OK, params))
    return _fit_starts(model, images, starts, status, config)


def _start_status(pdm: PDM, image_size: Float[Array, "2"], start: FaceParams) -> Int[Array, ""]:
    """Tell a start that is off the image, or no face."""
    of_box = box_status(box_from_params(pdm, start), image_size)
    status = jnp.where(of_box == Status.BOX_OUTSIDE, of_box, Status.OK)
    status = jnp.where(start.scale > 0, status, Status.FACE_TOO_SMALL)
    return jnp.where(all_finite(start), status, Status.NOT_FINITE).astype(jnp.int32)


def _fit_starts(
    model: Model,
    images: Num[Array, "*n_images height width"],
    starts: FaceParams,
    status: Int[Array | np.ndarray, " n_faces"],
    config: FitConfig,
) -> FitResult:
    """Fit every face from its starts (leading axes: faces, starts) on its own image, or on the only one."""
    n_faces, n_starts = starts.scale.shape
    status = jnp.where((status == Status.OK) & from_0_to_1(images), Status.TOO_DARK, status)
    if images.ndim == 2:
        images = images[None]
        starts = jax.tree.map(lambda a: a.reshape(1, -1, *a.shape[2:]), starts)
    tries = fit_tries(model, images, starts, config, n_starts)
    refined = refine_parts(model, images, tries, config)
    chosen = choose(model.pdm, refined, config, n_faces)
    seen = _seen(model, chosen.best.sight, chosen.best.params)
    return _result(chosen, seen, status, len(model.stages_of(config)))


def _seen(model: Model, sight: Sight | None, params: FaceParams) -> Float[Array, "n_faces n_points"] | None:
    """Tell the probability that each landmark is visible, where a network has looked."""
    if sight is None or model.visibility is None:
        return None
    sized = jnp.isfinite(params.scale) & (params.scale > 0)
    lost = ~(jnp.isfinite(sight.covariance).all((1, 2, 3)) & sized)
    covariance = where(lost, jnp.eye(2, dtype=params.scale.dtype)[None, None], sight.covariance)
    scale = jnp.where(lost, 1, params.scale)
    told = jax.vmap(partial(visibility, model.pdm, model.visibility))(covariance, scale)
    return where(lost, jnp.full_like(told, jnp.nan), told)


def _result(
    chosen: Chosen,
    seen: Float[Array, "n_faces n_points"] | None,
    status: Int[Array | np.ndarray, " n_faces"],
    n_stages: int,
) -> FitResult:
    """Collect what was found; a face whose box cannot start a fit has a ``status`` already."""
    best = chosen.best
    return FitResult(
        landmarks=chosen.landmarks,
        params=best.params,
        log_likelihood=best.log_likelihood,
        landmark_likelihoods=best.landmark_likelihoods,
        view=best.view,
        iterations=best.iterations,
        converged=best.converged,
        status=jnp.where(status == Status.OK, _status(best, n_stages), status).astype(jnp.int32),
        parts=chosen.parts,
        covariance=None if best.sight is None else best.sight.covariance,
        visibility=seen,
    )


def _status(best: Tries, n_stages: int) -> Int[Array, " n_faces"]:
    """Tell how the fits ended."""
    untried = Status.FACE_TOO_SMALL if n_stages else Status.NO_STAGE
    # A map that is NaN moves nothing, but makes the likelihood NaN.
    finite = all_finite(best.params) & ~jnp.isnan(best.log_likelihood)
    found = jnp.where(best.astray, Status.NOT_CONVERGED, Status.OK)
    found = jnp.where(best.too_small, Status.FACE_TOO_SMALL, found)
    found = jnp.where(jnp.isneginf(best.log_likelihood), untried, found)  # no stage took the face
    return jnp.where(finite, found, Status.NOT_FINITE)


def _first(result: FitResult) -> FitResult:
    return jax.tree.map(lambda a: a[0], result)
