"""A stage of a convolutional expert: the shape is fitted to the landmarks that the network sees."""

from functools import partial

import jax.numpy as jnp
from jaxtyping import Array

from jaxclnf.config import FitConfig, Stage
from jaxclnf.fitting.network_sight import Sight, certainty_weights, look, nothing_seen, sight_likelihood
from jaxclnf.fitting.nurlms import StageSettings, approach
from jaxclnf.fitting.tries import Tries, over_tries
from jaxclnf.ops.shape import shape_2d
from jaxclnf.types import PDM, ConvExperts, FaceParams


def with_sight(tries: Tries) -> Tries:
    """Give tries a sight for networks to fill, which is NaN before the first has looked."""
    if tries.sight is not None:
        return tries
    n_points, dtype = tries.landmark_likelihoods.shape[-1], tries.log_likelihood.dtype
    return tries._replace(sight=nothing_seen(tries.view.shape, n_points, dtype))


def look_at_whole(
    pdm: PDM,
    experts: ConvExperts,
    images: Array,
    tries: Tries,
    stage: Stage,
    settings: StageSettings,
    config: FitConfig,
) -> Tries:
    """Do a stage of a convolutional expert: fit the shape to the means of its maps, weighted by their width.

    If a network has looked before, the landmarks' places are averages of both, in which the earlier one has
    the stage's ``anchor`` as its share.
    """
    sight = look(pdm, experts, images, tries.params, stage.mirrored, stage.looks)
    before = jnp.asarray(tries.sight.landmarks_img)  # pyright: ignore[reportOptionalMemberAccess]
    apart = jnp.where(jnp.isfinite(before), before - sight.landmarks_img, 0)
    sight = sight._replace(landmarks_img=sight.landmarks_img + stage.anchor * apart)

    def steps(sight: Sight, params: FaceParams, settings: StageSettings) -> Tries:
        weights = certainty_weights(sight.covariance, settings.weight_factor) * settings.landmark_weights
        run = partial(approach, pdm, sight.landmarks_img, weights, settings=settings)
        rigid = run(params, n_steps=stage.iterations, rigid=True)
        full = run(rigid, n_steps=stage.iterations, rigid=False)
        shape = shape_2d(pdm, full)
        mean, each = sight_likelihood(sight, shape, full.scale)
        off_shape = settings.freedom * (sight.landmarks_img - shape)
        count = jnp.full(2, stage.iterations, jnp.int32)
        no = jnp.bool_(False)
        small = full.scale < config.min_scale
        return Tries(full, mean, each, jnp.int32(0), count, ~no, no, small, off_shape, sight)

    return over_tries(steps)(sight, tries.params, settings)._replace(view=tries.view)
