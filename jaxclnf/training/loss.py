"""The loss of one stage's experts: the conditional likelihood of the true positions, and the landmark error
after the stage's iterations.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxclnf.fitting.map_frames import map_frame
from jaxclnf.fitting.nurlms import StageSettings, positions_in_maps
from jaxclnf.ops import ccnf
from jaxclnf.ops.shape import shape_2d
from jaxclnf.training.patch_crops import TrainingPhotos, sample_face
from jaxclnf.training.starts import Starts, stage_end
from jaxclnf.types import PDM, FaceParams, PatchExperts

MAX_NOISE = 6.0  # grey values, standard deviation
GAMMA = 0.35  # standard deviation of the log exponent of the grey values

NEURON_FIELDS = ("weights", "norm_weights", "bias", "alpha")
LOST = 15.0  # model units; errors far beyond teach nothing


class Form(NamedTuple):
    """The static part of a stage's training, for which it is compiled."""

    yaws: tuple[float, ...]
    mirror: tuple[int, ...] | None
    window: int
    iterations: int
    with_error: bool


class Aim(NamedTuple):
    """The data of a stage's training, and the weights of its loss."""

    scale: Float[Array, ""]  # pixels per model unit
    target_width: Float[Array, ""]  # standard deviation of the response asked for, map pixels
    error_weight: Float[Array, ""]  # of the error in model units beside the cross-entropy


def view_losses(
    pdm: PDM,
    experts: PatchExperts,
    form: Form,
    photos: TrainingPhotos,
    starts: Starts,
    settings: StageSettings,
    aim: Aim,
    key: Array,
) -> tuple[Float[Array, " n_learned"], Float[Array, " n_learned"]]:
    """Compute the mean cross-entropy and mean landmark error (model units) of every learned view.

    ``starts`` has leading axes: learned views, faces of the batch, all of which are seen with that view's
    experts.
    """
    window = form.window
    neurons = {f: getattr(experts, f) for f in NEURON_FIELDS}
    sigma = experts.sigma.get(window)

    def view_loss(neurons, confidence, starts, key):
        faces = jax.vmap(partial(map_frame, pdm, experts))(starts.params)
        crop = partial(sample_face, photos, size=window + experts.support[0] - 1)
        patches = _relit(jax.vmap(crop)(starts.face, faces.base, faces.img_from_ref), key)
        maps = learned_maps(patches, neurons, sigma)
        points = photos.points[starts.face]
        truth = jax.vmap(partial(positions_in_maps, window=window))(faces, points)
        entropy = cross_entropy(maps, truth, aim.target_width)
        if not form.with_error:
            return entropy, jnp.zeros_like(entropy)
        faces = faces._replace(confidence=jnp.broadcast_to(confidence, faces.confidence.shape))
        end = partial(stage_end, pdm, settings=settings, iterations=form.iterations)
        ends = jax.vmap(end)(faces, maps, starts.params)
        return entropy, landmark_error(pdm, ends, points, photos.truth.scale[starts.face])

    keys = jax.random.split(key, len(experts.view_centres))
    return jax.vmap(view_loss)(neurons, experts.patch_confidence, starts, keys)


def learned_maps(
    patches: Float[Array, "n_faces n_points size size"],
    neurons: dict[str, Array],
    sigma: Float[Array, "1 area area"] | None,
) -> Float[Array, "n_faces n_points window window"]:
    """Compute response maps of faces of one view, for experts with alphas that sum to 1 and one sigma."""
    size = patches.shape[-1]
    _, _, height, width = neurons["weights"].shape

    def of_landmark(patches, weights, norm_weights, bias, alpha):
        bank = ccnf.neuron_bank(weights, norm_weights, bias, alpha, size)
        sums = ccnf.bank_responses(bank, patches, (height, width))
        if sigma is None:
            return sums / 2
        return ccnf.lift((sums.reshape(len(sums), -1) @ sigma[0]).reshape(sums.shape))

    over_landmarks = jax.vmap(of_landmark, in_axes=(1, 0, 0, 0, 0), out_axes=1)
    return over_landmarks(patches, *(neurons[k] for k in NEURON_FIELDS))


def cross_entropy(
    maps: Float[Array, "n_faces n_points window window"],
    truth: Float[Array, "n_faces n_points 2"],
    width: Float[Array, ""],
) -> Float[Array, ""]:
    """Cross-entropy of the normalised maps against a Gaussian about the true position, where they hold it."""
    window = maps.shape[-1]
    pixels = jnp.arange(window, dtype=maps.dtype)
    along = jnp.exp(-0.5 * ((pixels - truth[..., None]) / width) ** 2)
    target = along[..., 1, :, None] * along[..., 0, None, :]
    target = target / (target.sum((-2, -1), keepdims=True) + 1e-12)
    inside = (jnp.abs(truth - (window - 1) / 2) < window / 2).all(-1)
    log_maps = jnp.log(maps + 1e-6) - jnp.log(jnp.sum(maps + 1e-6, (-2, -1), keepdims=True))
    entropy = -jnp.sum(target * log_maps, (-2, -1))
    return jnp.sum(entropy * inside) / jnp.maximum(inside.sum(), 1).astype(maps.dtype)


def landmark_error(
    pdm: PDM,
    params: FaceParams,
    points: Float[Array, "n_faces n_points 2"],
    resolution: Float[Array, " n_faces"],
) -> Float[Array, ""]:
    """Compute the mean distance to the true landmarks, in model units; lost faces count as `LOST`."""
    off = (jax.vmap(partial(shape_2d, pdm))(params) - points) / resolution[:, None, None]
    distance = jnp.mean(jnp.sqrt(jnp.sum(off**2, -1) + 1e-3), axis=-1)
    return jnp.mean(-LOST * jnp.expm1(-distance / LOST))


def _relit(patches: Float[Array, "n_faces n size size"], key: Array) -> Float[Array, "n_faces n size size"]:
    """Change the patches' exposure curve and add a camera's noise, both drawn for each face."""
    keys = jax.random.split(key, 3)
    each = (len(patches), 1, 1, 1)
    gamma = jnp.exp(GAMMA * jax.random.normal(keys[0], each, patches.dtype))
    noise = MAX_NOISE * jax.random.uniform(keys[1], each, patches.dtype) ** 2
    curved = 255 * (jnp.maximum(patches, 0) / 255 + 1e-3) ** gamma
    return curved + noise * jax.random.normal(keys[2], patches.shape, patches.dtype)
