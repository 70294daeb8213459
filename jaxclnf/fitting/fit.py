"""Fitting one face or many: start rotations in every box, stages, parts of the face, the best try."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from jaxclnf.cache import keep
from jaxclnf.config import FitConfig
from jaxclnf.fitting.choose import choose
from jaxclnf.fitting.face_params import in_full_precision, params_from_box
from jaxclnf.fitting.parts import refine_parts
from jaxclnf.fitting.stages import fit_tries
from jaxclnf.fitting.tries import Tries
from jaxclnf.fitting.visibility import visibility
from jaxclnf.types import FaceParams, FitResult, Model, PartFit, Status


@keep
def fit(
    model: Model,
    image: Num[Array | np.ndarray, "height width"],
    box: Float[Array | np.ndarray, "4"],
    config: FitConfig | None = None,
) -> FitResult:
    """Fit one face, started from its box.

    ``image`` is grey, 0..255, of any number type; ``box`` is x, y, width, height in its pixels. Without
    ``config`` the model's settings are taken. Every start rotation is tried and the likeliest result
    returned, or with a ``temperature`` their average. If a face cannot be fitted, ``status`` says why and
    the other fields have no meaning.
    """
    return _first(fit_batch(model, jnp.asarray(image)[None], jnp.asarray(box)[None], config))


@keep
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
    if not len(boxes):
        return _of_no_faces(model, images, config)
    model, config = _in_one_dtype(model, config)
    shared_image = images.ndim == 2
    starts = _starts(model, boxes, config)  # faces, starts
    if shared_image:
        images = images[None]
        starts = jax.tree.map(lambda a: a.reshape(1, -1, *a.shape[2:]), starts)
    n_starts = len(config.start_rotations)
    tries = fit_tries(model, images, starts, config, n_starts)
    refined = refine_parts(model, images, tries, config)
    chosen = choose(model, refined, config, len(boxes))
    image_size = jnp.array(images.shape[:-3:-1], boxes.dtype)
    status = jax.vmap(box_status, in_axes=(0, None))(boxes, image_size)
    return _result(model, *chosen, status, len(config.stages_on(len(model.experts))))


def _of_no_faces(model: Model, images: Array, config: FitConfig | None) -> FitResult:
    """Make the result of no faces, with the shapes of a face's result."""
    image = jax.ShapeDtypeStruct((1, *images.shape[-2:]), images.dtype)
    box = jax.ShapeDtypeStruct((1, 4), model.pdm.mean.dtype)
    one = jax.eval_shape(fit_batch, model, image, box, config)
    return jax.tree.map(lambda a: jnp.zeros((0, *a.shape[1:]), a.dtype), one)


@jax.jit
def fit_settings(
    model: Model,
    images: Num[Array | np.ndarray, "*n_images height width"],
    boxes: Float[Array | np.ndarray, "n_faces 4"],
    config: FitConfig,
    changes: dict[str, Float[Array | np.ndarray, "n_settings ..."]],
) -> FitResult:
    """Fit many faces under many settings; leading axes of the result: settings, faces.

    ``changes`` holds settings that are not static, by the names of `FitConfig.changed`, with the values of
    each setting along a leading axis. Whatever does not depend on them, as the first stage's response
    maps, is computed once.
    """
    return jax.vmap(lambda change: fit_batch(model, images, boxes, config.changed(change)))(changes)


@keep
def fit_from(
    model: Model,
    image: Num[Array | np.ndarray, "height width"],
    params: FaceParams,
    config: FitConfig | None = None,
) -> FitResult:
    """Fit one face, started from parameters, such as the previous frame's; start rotations are not used."""
    _check_images(image[None], 3)
    start = jax.tree.map(lambda a: jnp.asarray(a)[None], params)
    return _first(fit_batch_from(model, image[None], start, config))


@keep
@in_full_precision
def fit_batch_from(
    model: Model,
    images: Num[Array | np.ndarray, "n_faces height width"],
    params: FaceParams,
    config: FitConfig | None = None,
) -> FitResult:
    """Fit many faces, each on its own image, started from its row of ``params``."""
    (model, config), images = _in_one_dtype(model, config), jnp.asarray(images)
    starts = jax.tree.map(lambda a: jnp.asarray(a, model.pdm.mean.dtype)[:, None], params)
    tries = fit_tries(model, images, starts, config)
    n_faces, n_stages = len(images), len(config.stages_on(len(model.experts)))
    chosen = choose(model, refine_parts(model, images, tries, config), config, n_faces)
    return _result(model, *chosen, jnp.zeros(n_faces, jnp.int32), n_stages)


def _starts(model: Model, boxes: Float[Array, "n_faces 4"], config: FitConfig) -> FaceParams:
    """Place the mean face in every box, in every start rotation."""
    by_rotation = jax.vmap(partial(params_from_box, model.pdm), in_axes=(None, 0))
    boxes = corrected_boxes(boxes, config.box_correction[None])
    return jax.vmap(by_rotation, in_axes=(0, None))(boxes, config.start_rotations)


def corrected_boxes(boxes: Float[Array, "n_faces 4"], by: Float[Array, "1 4"]) -> Float[Array, "n_faces 4"]:
    """Move and stretch boxes by `FitConfig.box_correction`."""
    size = boxes[:, 2:]
    growth = size * jnp.expm1(by[:, 2:])
    return boxes + jnp.concatenate([size * by[:, :2] - growth / 2, growth], axis=1)


def _result(
    model: Model,
    best: Tries,
    landmarks: Array,
    parts: dict[str, PartFit],
    status: Int[Array | np.ndarray, " n_faces"],
    n_stages: int,
) -> FitResult:
    untried = Status.FACE_TOO_SMALL if n_stages else Status.NO_STAGE
    finite = jnp.isfinite(best.params.scale) & jnp.isfinite(best.params.shape).all(-1)
    # A map that is NaN moves nothing, but makes the likelihood NaN.
    finite &= ~jnp.isnan(best.log_likelihood)
    found = jnp.where(best.astray, Status.NOT_CONVERGED, Status.OK)
    found = jnp.where(best.too_small, Status.FACE_TOO_SMALL, found)
    found = jnp.where(jnp.isneginf(best.log_likelihood), untried, found)  # no stage took the face
    found = jnp.where(finite, found, Status.NOT_FINITE)
    return FitResult(
        landmarks=landmarks,
        params=best.params,
        log_likelihood=best.log_likelihood,
        landmark_likelihoods=best.landmark_likelihoods,
        view=best.view,
        iterations=best.iterations,
        converged=best.converged,
        status=jnp.where(status == Status.OK, found, status).astype(jnp.int32),
        parts=parts,
        covariance=None if best.sight is None else best.sight.covariance,
        visibility=_visibility(model, best),
    )


def _visibility(model: Model, best: Tries) -> Float[Array, "n_faces n_points"] | None:
    if best.sight is None or model.visibility is None:
        return None
    of_face = partial(visibility, model.pdm, model.visibility)
    return jax.vmap(of_face)(best.sight.covariance, best.params.scale)


_LEAST_SEEN = 0.01
"""Share of a box on the image below which whatever a fit found would be made up."""


def box_status(
    box: Float[Array | np.ndarray, "4"], image_size: Num[Array | np.ndarray, "2"]
) -> Int[Array | np.ndarray, ""]:
    """Check whether a box can start a fit on an image of ``image_size`` (width, height); gives a `Status`."""
    xp = box.__array_namespace__()  # NumPy for arrays on the host, which need no compilation
    corner, size = box[:2], box[2:]
    valid = xp.isfinite(box).all() & (size > 0).all()
    corner, size = xp.where(valid, corner, xp.zeros_like(corner)), xp.where(valid, size, xp.ones_like(size))
    seen = xp.clip((image_size - corner) / size, 0, 1) - xp.clip(-corner / size, 0, 1)  # of width and height
    of_sound = xp.where(seen[0] * seen[1] >= _LEAST_SEEN, Status.OK, Status.BOX_OUTSIDE)
    return xp.where(valid, of_sound, Status.BOX_INVALID).astype(xp.int32)


def _check_batch(images, boxes):
    if images.ndim not in (2, 3) or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(
            f"expected images (n, height, width) or one image (height, width) and boxes (n, 4); "
            f"got images {images.shape} and boxes {boxes.shape}"
        )
    _check_images(images, images.ndim)
    if images.ndim == 3 and len(images) != len(boxes):
        raise ValueError(f"expected one box an image; got {len(images)} images and {len(boxes)} boxes")


def _check_images(images, ndim):
    if images.ndim != ndim or 0 in images.shape[-2:]:
        raise ValueError(
            f"expected grey images (height, width) that have pixels; got an array of shape {images.shape}"
        )


def _in_one_dtype(model: Model, config: FitConfig | None) -> tuple[Model, FitConfig]:
    """Convert model and settings, by default its own, to the precision of its mean shape."""
    config, dtype = model.settings if config is None else config, model.pdm.mean.dtype
    _check_settings(model, config)

    def converted(a):
        number = jnp.issubdtype(a.dtype, jnp.number)
        return a.astype(dtype if jnp.issubdtype(a.dtype, jnp.floating) else jnp.int32) if number else a

    return jax.tree.map(converted, model), jax.tree.map(lambda a: jnp.asarray(a, dtype), config)


def _check_settings(model: Model, config: FitConfig) -> None:
    """Raise ValueError for settings of another number of landmarks or modes."""
    for name, n in (("landmark_weights", model.pdm.n_points), ("mode_stiffness", model.pdm.n_modes)):
        if np.size(getattr(config, name)) not in (1, n):
            raise ValueError(
                f"expected one value of {name}, or {n} for the model's; got {np.size(getattr(config, name))}"
            )


def _first(result: FitResult) -> FitResult:
    return jax.tree.map(lambda a: a[0], result)
