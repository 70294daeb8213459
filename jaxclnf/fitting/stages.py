"""The stages of a fit, coarse to fine, through which all tries on a batch of images go."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxclnf.config import FitConfig, Stage
from jaxclnf.fitting.network_stage import look_at_whole, with_sight
from jaxclnf.fitting.nurlms import StageSettings
from jaxclnf.fitting.patch_stage import look_at_patches
from jaxclnf.fitting.ranking import promising
from jaxclnf.fitting.tries import Tries, all_finite, stand_ins, untried, where
from jaxclnf.types import PDM, ConvExperts, Experts, FaceParams, Model

LEAST_SHARE = 1e-3
"""Share of a scale's pixels per model unit below which floats cannot tell a face's landmarks apart."""


def fit_tries(model: Model, images: Array, starts: FaceParams, config: FitConfig, n_starts: int = 1) -> Tries:
    """Take all tries through the stages, as far as each gets; ``n_starts`` tries in a row are of one face."""
    tries = untried(starts, model.pdm.n_points, config)
    for nth, (i, stage, experts) in enumerate(model.stages_of(config)):
        if nth > 0:
            n_kept = min(n_starts, stage.keep or n_starts)
            early = model.early_termination if nth == 1 else None
            tries, n_starts = promising(model.pdm, early, tries, config, n_starts, n_kept), n_kept
        tries = _through(model.pdm, experts, images, tries, config, i)
    return tries


def _through(
    pdm: PDM, experts: Experts | ConvExperts, images: Array, tries: Tries, config: FitConfig, i: int
) -> Tries:
    """Take tries through stage ``i``; faces that are too small for it, or no faces, stay as they are."""
    stage = config.stages[i]
    settings = _settings(config, stage, tries.view.shape)
    large = tries.params.scale > LEAST_SHARE * experts.patch_scale
    skipped = tries.too_small | ~(all_finite(tries.params) & large)
    if isinstance(experts, ConvExperts):
        tries = with_sight(tries)
    elif not config.as_openface2:
        skipped |= ~has_pixels(experts, tries.params, config)
    seen = tries._replace(params=stand_ins(skipped, tries.params))
    if isinstance(experts, ConvExperts):
        after = look_at_whole(pdm, experts, images, seen, stage, settings, config)
    else:
        after = look_at_patches(pdm, experts, images, seen, stage, settings, config)
    after = after._replace(iterations=tries.iterations.at[:, :, i].set(after.iterations))
    return jax.tree.map(partial(where, skipped), tries, after)


def has_pixels(
    experts: Experts | ConvExperts, params: FaceParams, config: FitConfig
) -> Bool[Array, "n_images n_tries"]:
    """Tell whether faces are large enough for a scale."""
    return params.scale >= config.scale_margin * experts.patch_scale


def _settings(config: FitConfig, stage: Stage, batch: tuple[int, ...]) -> StageSettings:
    """Collect the settings of a stage, with an entry for every try of every image."""
    settings = StageSettings(
        reg_factor=stage.reg_factor * config.mode_stiffness,
        sigma=stage.sigma,
        weight_factor=stage.weight_factor,
        tolerance=config.tolerance,
        landmark_weights=config.landmark_weights,
        turn_limit=config.turn_limit,
        freedom=stage.freedom,
    )
    return jax.tree.map(lambda s: jnp.broadcast_to(s, (*batch, *s.shape)), settings)
