"""The stages of a fit, coarse to fine, through which all tries on a batch of images go."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxclnf.config import FitConfig
from jaxclnf.fitting.early_termination import adjusted, keeps_shape, kept
from jaxclnf.fitting.network_stage import look_at_whole, with_sight
from jaxclnf.fitting.patch_stage import look_at_patches
from jaxclnf.fitting.tries import Tries, has_pixels, likeliest, scores, taken, untried, where
from jaxclnf.types import ConvExperts, FaceParams, Model


def fit_tries(model: Model, images: Array, starts: FaceParams, config: FitConfig, n_starts: int = 1) -> Tries:
    """Take all tries through the stages, as far as each gets; ``n_starts`` tries in a row are of one face."""
    tries = untried(model, starts, config)
    for nth, (i, stage) in enumerate(config.stages_on(len(model.experts))):
        n_kept = min(n_starts, stage.keep or n_starts)
        if nth > 0 and n_kept < n_starts:
            promising = _earliest if nth == 1 and model.early_termination is not None else _likeliest
            tries, n_starts = promising(model, tries, config, n_starts, n_kept), n_kept
        experts = model.experts[stage.scale]
        skipped = tries.too_small
        if isinstance(experts, ConvExperts):
            tries = with_sight(tries)
            after = look_at_whole(model.pdm, experts, images, tries, config, i)
        else:
            if not config.as_openface2:
                skipped |= ~has_pixels(experts, tries.params, config)
            after = look_at_patches(model.pdm, experts, images, tries, config, i)
        tries = jax.tree.map(partial(where, skipped), tries, after)
    return tries


def _likeliest(model: Model, tries: Tries, config: FitConfig, n_starts: int, n_kept: int) -> Tries:
    """Keep the likeliest tries of each face."""
    return likeliest(tries, scores(model.pdm, tries, config), n_starts, n_kept)


def _earliest(model: Model, tries: Tries, config: FitConfig, n_starts: int, n_kept: int) -> Tries:
    """Keep each face's first try that is good enough by the model's `EarlyTermination`, or the likeliest."""
    score = scores(model.pdm, tries, config)
    judged = adjusted(model.early_termination, score, tries.view)  # pyright: ignore[reportArgumentType]
    comparable, enough = (a.reshape(-1, n_starts) for a in judged)
    which = kept(comparable, enough, n_kept)
    tries = taken(tries, which, n_starts)
    if not config.as_openface2:
        return tries
    same = keeps_shape(which, enough).reshape(tries.view.shape)
    shape = jnp.where(same[..., None], tries.params.shape, 0)
    return tries._replace(params=replace(tries.params, shape=shape))
