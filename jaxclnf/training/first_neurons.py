"""The experts before training: templates cut from the photos."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxclnf.training.neurons import Neurons, learned_yaws
from jaxclnf.training.patch_crops import TrainingPhotos, sample_face
from jaxclnf.training.patch_recipe import Recipe

TEMPLATES = 3  # photos averaged into a neuron's first weights
FIRST_LOG_BETAS = [-3.0, -7.0]


def first_neurons(recipe: Recipe, has_mirror: bool, photos: TrainingPhotos, i: int) -> Neurons:
    """Make neurons of scale i that look like the landmarks of a few photos each, with small edge terms."""
    rng = np.random.default_rng([recipe.seed, i])
    yaws = np.radians(learned_yaws(recipe.yaws, has_mirror))
    near = np.argsort(abs(np.asarray(photos.truth.rotation)[:, 1:2] - yaws), axis=0)
    pool = near[: max(recipe.neurons, len(photos) // (2 * len(yaws)))]
    faces = np.stack([rng.choice(pool[:, t], recipe.neurons * TEMPLATES) for t in range(len(yaws))])
    patches = _truth_patches(
        photos, jnp.asarray(faces, jnp.int32), jnp.float32(recipe.scales[i]), recipe.support
    )
    shape = (len(yaws), recipe.neurons, TEMPLATES, *patches.shape[2:])
    weights = jnp.swapaxes(patches.reshape(shape).mean(2), 1, 2)  # views, points, neurons, h, w
    weights = weights - weights.mean((-2, -1), keepdims=True)
    weights = weights / (weights.std((-2, -1), keepdims=True) + 1e-3)
    each = jnp.ones(weights.shape[:3], weights.dtype)
    return Neurons(
        weights=weights,
        steepness=each,
        bias=-0.5 * each,
        log_alpha=0 * each,
        log_confidence=jnp.zeros_like(each[..., 0]),
        log_betas=jnp.array(FIRST_LOG_BETAS if recipe.edges else [], weights.dtype),
    )


@partial(jax.jit, static_argnums=3)
def _truth_patches(photos: TrainingPhotos, faces: Array, scale: Float[Array, ""], size: int) -> Array:
    def one(face):
        img_from_ref = photos.truth.scale[face] / scale * _turn(photos.truth.rotation[face, 2])
        return sample_face(photos, face, photos.points[face], img_from_ref, size)

    return jax.lax.map(one, faces.reshape(-1)).reshape(*faces.shape, -1, size, size)


def _turn(angle: Float[Array, ""]) -> Float[Array, "2 2"]:
    return jnp.stack([jnp.cos(angle), -jnp.sin(angle), jnp.sin(angle), jnp.cos(angle)]).reshape(2, 2)
