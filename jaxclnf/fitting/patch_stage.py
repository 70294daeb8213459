"""A stage of patch experts: response maps about the landmarks, then rigid and non-rigid steps on them."""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxclnf.config import FitConfig, Stage
from jaxclnf.fitting.map_frames import map_frame
from jaxclnf.fitting.nurlms import Anchors, StageSettings, iterate, log_likelihood, off_shape
from jaxclnf.fitting.responses import image_responses, responses_between_views
from jaxclnf.fitting.tries import Tries, over_tries
from jaxclnf.ops.shape import shape_2d
from jaxclnf.types import PDM, Experts, FaceParams


def look_at_patches(
    pdm: PDM,
    experts: Experts,
    images: Array,
    tries: Tries,
    stage: Stage,
    settings: StageSettings,
    config: FitConfig,
) -> Tries:
    """Do a stage of patch experts; if a network has looked before, its sight anchors the landmarks."""
    anchors = None
    if tries.sight is not None:
        anchors = _anchors(tries.sight.landmarks_img, stage)
    arguments = pdm, experts, images, tries.params, settings, config.min_scale, anchors
    static = stage.window, stage.iterations, config.kernel, stage.between_views, config.as_openface2
    after = _look_and_move(*arguments, *static)
    if tries.sight is not None:  # what networks see beyond the shape holds beside what patches do
        after = after._replace(off_shape=tries.off_shape + after.off_shape)
    return after._replace(sight=tries.sight)


def _anchors(seen: Array, stage: Stage) -> Anchors:
    """Take what a network saw as anchors; faces that it has not looked at (NaN) have none."""
    there = jnp.isfinite(seen).all((-2, -1))
    share = jnp.where(there, stage.anchor, 0)
    return Anchors(jnp.where(there[..., None, None], seen, 0), share.astype(seen.dtype))


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
        asked = full.positions + full.shifts
        off = off_shape(face, asked, shape_2d(pdm, full.params), window, settings.freedom)
        end = full.converged, full.astray, full.params.scale < min_scale
        return Tries(full.params, likelihood, each, face.view, count, *end, off)

    return over_tries(steps)(faces, maps, params, settings, *([] if anchors is None else [anchors]))
