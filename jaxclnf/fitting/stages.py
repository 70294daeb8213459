"""The stages of a fit, coarse to fine, for all tries on a batch of images.

A batch has two leading axes: images, and the tries on each image (boxes times start rotations). Everything is
mapped over both; only the response maps are computed for all at once.
"""

from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxclnf.config import FitConfig, Stage
from jaxclnf.fitting import early
from jaxclnf.fitting.frames import map_frame
from jaxclnf.fitting.network import Sight, certainty_weights, look, nothing_seen, sight_likelihood
from jaxclnf.fitting.nurlms import Anchors, StageSettings, approach, iterate, log_likelihood
from jaxclnf.fitting.responses import image_responses, responses_between_views
from jaxclnf.ops.shape import shape_2d
from jaxclnf.types import PDM, ConvExperts, Experts, FaceParams, Model

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
    sight: Sight | None = None  # by the convolutional experts so far, if there were any


def fit_tries(model: Model, images: Array, starts: FaceParams, config: FitConfig, n_starts: int = 1) -> Tries:
    """Take all tries through the stages, as far as each gets; ``n_starts`` tries in a row are of one face."""
    tries = _untried(model, starts, config)
    for nth, (i, stage) in enumerate(config.stages_on(len(model.experts))):
        n_kept = min(n_starts, stage.keep or n_starts)
        if nth > 0 and n_kept < n_starts:
            promising = _earliest if nth == 1 and model.early_termination is not None else _likeliest
            tries, n_starts = promising(model, tries, config, n_starts, n_kept), n_kept
        experts = model.experts[stage.scale]
        skipped = tries.too_small
        if isinstance(experts, ConvExperts):
            tries = _with_sight(tries)
            after = _look_whole(model.pdm, experts, images, tries, config, i)
        else:
            if not config.as_openface2:
                skipped |= ~has_pixels(experts, tries.params, config)
            after = _stage(model, experts, images, tries, config, i)
        tries = jax.tree.map(partial(where, skipped), tries, after)
    return tries


def _likeliest(model: Model, tries: Tries, config: FitConfig, n_starts: int, n_kept: int) -> Tries:
    """Keep the likeliest tries of each face."""
    return likeliest(tries, scores(model.pdm, tries, config), n_starts, n_kept)


def _earliest(model: Model, tries: Tries, config: FitConfig, n_starts: int, n_kept: int) -> Tries:
    """Keep each face's first try that is good enough by the model's `EarlyTermination`, or the likeliest."""
    score = scores(model.pdm, tries, config)
    judged = early.adjusted(model.early_termination, score, tries.view)  # pyright: ignore[reportArgumentType]
    comparable, enough = (a.reshape(-1, n_starts) for a in judged)
    which = early.kept(comparable, enough, n_kept)
    tries = taken(tries, which, n_starts)
    if not config.as_openface2:
        return tries
    same = early.keeps_shape(which, enough).reshape(tries.view.shape)
    shape = jnp.where(same[..., None], tries.params.shape, 0)
    return tries._replace(params=replace(tries.params, shape=shape))


def _stage(model: Model, experts: Experts, images: Array, tries: Tries, config: FitConfig, i: int) -> Tries:
    """Do a stage of patch experts; if a network has looked before, its sight anchors the landmarks."""
    stage = config.stages[i]
    settings = _stage_settings(config, stage, tries.view.shape)
    anchors = None
    if tries.sight is not None:
        share = jnp.broadcast_to(stage.anchor, tries.view.shape)
        anchors = Anchors(tries.sight.landmarks_img, share)
    arguments = model.pdm, experts, images, tries.params, settings, config.min_scale, anchors
    static = stage.window, stage.iterations, config.kernel, stage.between_views, config.as_openface2
    after = _look_and_move(*arguments, *static)
    iterations = tries.iterations.at[:, :, i].set(after.iterations)
    return after._replace(iterations=iterations, sight=tries.sight)


def _with_sight(tries: Tries) -> Tries:
    """Give tries a sight for networks to fill, which is NaN before the first has looked."""
    if tries.sight is not None:
        return tries
    n_points, dtype = tries.landmark_likelihoods.shape[-1], tries.log_likelihood.dtype
    return tries._replace(sight=nothing_seen(tries.view.shape, n_points, dtype))


def _look_whole(
    pdm: PDM, experts: ConvExperts, images: Array, tries: Tries, config: FitConfig, i: int
) -> Tries:
    """Do a stage of a convolutional expert: fit the shape to the means of its maps, weighted by their width.

    If a network has looked before, the landmarks' places are averages of both, in which the earlier one has
    the stage's ``anchor`` as its share.
    """
    stage = config.stages[i]
    sight = look(pdm, experts, images, tries.params, stage.mirrored, stage.looks)
    before = jnp.asarray(tries.sight.landmarks_img)  # pyright: ignore[reportOptionalMemberAccess]
    apart = jnp.where(jnp.isfinite(before), before - sight.landmarks_img, 0)
    sight = sight._replace(landmarks_img=sight.landmarks_img + stage.anchor * apart)
    settings = _stage_settings(config, stage, tries.view.shape)

    def steps(sight: Sight, params: FaceParams, settings: StageSettings) -> Tries:
        weights = certainty_weights(sight.covariance, settings.weight_factor) * settings.landmark_weights
        run = partial(approach, pdm, sight.landmarks_img, weights, settings=settings)
        rigid = run(params, n_steps=stage.iterations, rigid=True)
        full = run(rigid, n_steps=stage.iterations, rigid=False)
        mean, each = sight_likelihood(sight, shape_2d(pdm, full), params.scale)
        count = jnp.full(2, stage.iterations, jnp.int32)
        no = jnp.bool_(False)
        small = full.scale < config.min_scale
        return Tries(full, mean, each, jnp.int32(0), count, ~no, no, small, sight)

    after = over_tries(steps)(sight, tries.params, settings)
    iterations = tries.iterations.at[:, :, i].set(after.iterations)
    return after._replace(iterations=iterations, view=tries.view)


@partial(jax.jit, static_argnums=(7, 8, 9, 10, 11))  # stages of the same sizes are traced once
def _look_and_move(
    pdm: PDM,
    experts: Experts,
    images: Array,
    params: FaceParams,
    settings: StageSettings,
    min_scale: Array,
    anchors: Anchors | None,
    window: int,
    max_iterations: int,
    kernel: Literal["exact", "grid"],
    between_views: bool,
    in_steps: bool,
) -> Tries:
    """Compute response maps about the current landmarks, then do rigid and non-rigid steps on them."""
    faces = over_tries(partial(map_frame, pdm, experts))(params)
    if between_views:
        maps = responses_between_views(experts, images, faces, params.rotation, window, in_steps)
    else:
        maps = image_responses(experts, images, faces, window, in_steps)

    def steps(face, maps, params, settings, *anchor):
        run = partial(iterate, max_iterations=max_iterations, kernel=kernel, anchors=(*anchor, None)[0])
        rigid = run(pdm, face, maps, params, settings, rigid=True)
        full = run(pdm, face, maps, rigid.params, settings, rigid=False)
        likelihood, each = log_likelihood(face, maps, full.positions, settings.sigma)
        count = jnp.stack([rigid.iterations, full.iterations])
        too_small = full.params.scale < min_scale
        return Tries(full.params, likelihood, each, face.view, count, full.converged, full.astray, too_small)

    return over_tries(steps)(faces, maps, params, settings, *([] if anchors is None else [anchors]))


def has_pixels(
    experts: Experts | ConvExperts, params: FaceParams, config: FitConfig
) -> Bool[Array, "n_images n_tries"]:
    """Tell whether faces are large enough for a scale."""
    return params.scale >= config.scale_margin * experts.patch_scale


def _untried(model: Model, starts: FaceParams, config: FitConfig) -> Tries:
    batch, dtype, n_points = starts.scale.shape, starts.scale.dtype, model.pdm.n_points
    return Tries(
        params=starts,
        log_likelihood=jnp.full(batch, -jnp.inf, dtype),
        landmark_likelihoods=jnp.zeros((*batch, n_points), dtype),
        view=jnp.zeros(batch, jnp.int32),
        iterations=jnp.zeros((*batch, len(config.stages), 2), jnp.int32),
        converged=jnp.zeros(batch, bool),
        astray=jnp.zeros(batch, bool),
        too_small=starts.scale < config.scale_margin * config.min_scale,
    )


def _stage_settings(config: FitConfig, stage: Stage, batch: tuple[int, ...]) -> StageSettings:
    """Collect the settings of a stage, with an entry for every try of every image."""
    settings = StageSettings(
        reg_factor=stage.reg_factor * config.mode_stiffness,
        sigma=stage.sigma,
        weight_factor=stage.weight_factor,
        tolerance=config.tolerance,
        landmark_weights=config.landmark_weights,
        turn_limit=config.turn_limit,
    )
    return jax.tree.map(lambda s: jnp.broadcast_to(s, (*batch, *s.shape)), settings)


def scores(
    pdm: PDM, tries: Tries, config: FitConfig, votes: Float[Array, "n_images n_tries"] | float = 0.0
) -> Float[Array, "n_images n_tries"]:
    """Score tries by the log likelihood per landmark of their maps, parts and shapes; -inf if given up."""
    unlikely = jnp.sum(tries.params.shape**2 / pdm.eigenvalues[None, None], -1) / (2 * pdm.n_points)
    score = tries.log_likelihood + votes - config.prior * unlikely
    return jnp.where(tries.too_small | jnp.isnan(score), -jnp.inf, score)


def likeliest(tree: T, score: Float[Array, "n_images n_tries"], n_starts: int, n_kept: int) -> T:
    """Keep the ``n_kept`` highest scores of each ``n_starts`` tries in a row; ties keep their order."""
    _, best = jax.lax.top_k(score.reshape(-1, n_starts), n_kept)
    return taken(tree, best, n_starts)


def taken(tree: T, which: Int[Array, "n_faces n_kept"], n_starts: int) -> T:
    """Take tries by their numbers among those of each face, which are ``n_starts`` in a row."""

    def of_faces(a: Array) -> Array:
        of_face = a.reshape(-1, n_starts, *a.shape[2:])
        return jax.vmap(lambda row, k: row[k])(of_face, which).reshape(len(a), -1, *a.shape[2:])

    return jax.tree.map(of_faces, tree)


def where(mask: Bool[Array, "n_images n_tries"], a: Array, b: Array) -> Array:
    """Do `jnp.where` for arrays with the mask's axes and more."""
    return jnp.where(mask.reshape(mask.shape + (1,) * (a.ndim - mask.ndim)), a, b)


def over_tries(function):
    """Map ``function`` over images and tries as one axis, which traces and compiles faster than two."""

    def mapped(*arguments):
        batch = jax.tree.leaves(arguments)[0].shape[:2]
        flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), arguments)
        found = jax.vmap(function)(*flat)
        return jax.tree.map(lambda a: a.reshape(*batch, *a.shape[1:]), found)

    return mapped
