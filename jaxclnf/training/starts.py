"""The starts of a fit's stages while the experts learn, and their ends."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxclnf.config import FitConfig
from jaxclnf.fitting.box_starts import corrected_boxes
from jaxclnf.fitting.face_params import params_from_box
from jaxclnf.fitting.full_precision import in_full_precision
from jaxclnf.fitting.map_frames import map_frame
from jaxclnf.fitting.nurlms import StageSettings, iterate
from jaxclnf.fitting.view_blocks import batch_responses
from jaxclnf.ops.shape import clamp
from jaxclnf.training.patch_crops import TrainingPhotos, sample_face
from jaxclnf.types import PDM, FaceParams, PatchExperts

REACH = jnp.pi / 5  # a start rotation further from the truth is not learned from
BLOCK = 128  # faces fitted at a time


class Starts(NamedTuple):
    """Faces, and the parameters at which a stage starts on them."""

    face: Int[Array, " n"]
    params: FaceParams

    def take(self, index: Int[Array, "*m"]) -> Starts:
        return jax.tree.map(lambda a: a[index], self)


class Spread(NamedTuple):
    """Standard deviations of the displacements that are added to a stage's starts."""

    move: float  # model units
    size: float  # share
    turn: float  # radians
    shape: float  # shares of the modes' standard deviations


BOX_SPREAD = Spread(move=3.0, size=0.05, turn=0.1, shape=0.0)
STAGE_SPREAD = Spread(move=1.0, size=0.015, turn=0.04, shape=0.15)
NETWORK_SPREAD = Spread(move=1.2, size=0.03, turn=0.055, shape=0.2)


def box_starts(pdm: PDM, photos: TrainingPhotos, config: FitConfig) -> Starts:
    """Every face in its box, from each start rotation within reach of its true one."""
    rotations = jnp.asarray(config.start_rotations)
    n_starts = len(rotations)
    boxes = corrected_boxes(photos.boxes, jnp.asarray(config.box_correction)[None])
    params = jax.vmap(lambda box: jax.vmap(partial(params_from_box, pdm, box))(rotations))(boxes)
    flat = Starts(
        face=jnp.repeat(jnp.arange(len(photos), dtype=jnp.int32), n_starts),
        params=jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), params),
    )
    away = jnp.linalg.norm(flat.params.rotation - photos.truth.rotation[flat.face], axis=-1)
    nearest = jnp.repeat(away.reshape(-1, n_starts).min(1), n_starts)
    return flat.take(jnp.flatnonzero((away < REACH) | (away == nearest)))


def box_correction(
    boxes: Float[Array, "n_faces 4"], points: Float[Array, "n_faces n_points 2"]
) -> Float[Array, "4"]:
    """Find the `FitConfig.box_correction` that makes boxes tight around their landmarks on average."""
    low, high = points.min(1), points.max(1)
    size = boxes[:, 2:]
    shift = ((low + high) / 2 - boxes[:, :2] - size / 2) / size
    growth = jnp.log((high - low) / size)
    return jnp.concatenate([shift.mean(0), growth.mean(0)])


@jax.jit
def displaced(pdm: PDM, truth: FaceParams, starts: FaceParams, spread: Spread, key: Array) -> FaceParams:
    """Starts with errors like those on new faces: moved away from or towards the truth, and jittered."""
    keys = jax.random.split(key, 5)
    n = len(starts.scale)
    stretch = jax.random.uniform(keys[0], (n,), minval=0.7, maxval=1.6)
    noise = [jax.random.normal(k, a.shape) for k, a in zip(keys[1:], _fields(starts), strict=True)]
    size, turn, move, shape = (_along(t, stretch) for t in zip(_fields(truth), _fields(starts), strict=True))
    moved = FaceParams(
        scale=size * jnp.exp(spread.size * noise[0]),
        rotation=turn + spread.turn * noise[1],
        translation=move + spread.move * size[:, None] * noise[2],
        shape=shape + spread.shape * jnp.sqrt(pdm.eigenvalues) * noise[3],
    )
    return jax.vmap(partial(clamp, pdm))(moved)


def advance_starts(
    pdm: PDM,
    experts: PatchExperts,
    photos: TrainingPhotos,
    starts: Starts,
    window: int,
    settings: StageSettings,
    iterations: int,
) -> Starts:
    """Move every start by one stage of the fit."""
    n = len(starts.face)
    ends = []
    for first in range(0, n, BLOCK):
        block = starts.take(jnp.minimum(jnp.arange(first, first + BLOCK), n - 1))
        ends.append(_advance_block(window, iterations, pdm, experts, photos, block, settings))
    return Starts(starts.face, jax.tree.map(lambda *a: jnp.concatenate(a)[:n], *ends))


@partial(jax.jit, static_argnums=(0, 1))
@in_full_precision
def _advance_block(
    window: int,
    iterations: int,
    pdm: PDM,
    experts: PatchExperts,
    photos: TrainingPhotos,
    starts: Starts,
    settings: StageSettings,
) -> FaceParams:
    end = partial(stage_end, pdm, settings=settings, iterations=iterations)
    faces = jax.vmap(partial(map_frame, pdm, experts))(starts.params)
    crop = partial(sample_face, photos, size=window + experts.support[0] - 1)
    patches = jax.vmap(crop)(starts.face, faces.base, faces.img_from_ref)
    return jax.vmap(end)(faces, batch_responses(experts, faces.view, patches), starts.params)


def stage_end(
    pdm: PDM, face, maps: Array, params: FaceParams, settings: StageSettings, iterations: int
) -> FaceParams:
    """Do the stage's iterations on these maps, with a derivative by the maps."""
    run = partial(iterate, pdm, face, maps, max_iterations=iterations, kernel="exact", settings=settings)
    return run(run(params, rigid=True).params, rigid=False).params


def _fields(params: FaceParams) -> tuple[Array, ...]:
    return params.scale, params.rotation, params.translation, params.shape


def _along(ends: tuple[Array, Array], share: Float[Array, " n"]) -> Array:
    """Interpolate: the point ``share`` of the way from the first to the second."""
    first, second = ends
    return first + (second - first) * share.reshape(-1, *(1,) * (first.ndim - 1))
