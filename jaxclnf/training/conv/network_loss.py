"""The loss of a network: the entropy of its response maps, and how far their means are from the landmarks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxclnf.training.conv.augmentation import Lesson
from jaxclnf.training.conv.network_recipe import ConvRecipe

WING, CURVATURE = 5.0, 0.7  # of the wing loss, pixels of the picture


def centres(maps_logits: Float[Array, "batch cells cells n_points"]) -> Float[Array, "batch n_points 2"]:
    """Compute the means of the softmax of logits, in pixels of the picture."""
    shape = maps_logits.shape
    shares = jax.nn.softmax(maps_logits.reshape(shape[0], -1, shape[3]), 1).reshape(shape)
    cells = 2 * jnp.arange(shape[1], dtype=shares.dtype) + 0.5
    x = jnp.einsum("byxn,x->bn", shares, cells)
    y = jnp.einsum("byxn,y->bn", shares, cells)
    return jnp.stack([x, y], -1)


def losses(found: Array, lesson: Lesson, recipe: ConvRecipe, teacher: Array | None) -> tuple[Array, Array]:
    """Compute the loss, and the mean distance of the maps' means from the landmarks in picture pixels."""
    n_cells = found.shape[1]
    cells = 2 * jnp.arange(n_cells, dtype=found.dtype) + 0.5
    away = cells[None, None, None] - lesson.points[..., None]
    bell = jnp.exp(-(away**2) / (2 * recipe.target_width**2))
    target = bell[:, :, 1, :, None] * bell[:, :, 0, None, :]
    target = target / jnp.maximum(target.sum((-2, -1), keepdims=True), 1e-6)
    target = target.transpose(0, 2, 3, 1)
    inside = ((lesson.points >= 0) & (lesson.points <= recipe.side - 1)).all(-1).astype(found.dtype)
    flat = found.reshape(len(found), -1, found.shape[-1])
    logs = jax.nn.log_softmax(flat, 1)
    if teacher is not None:
        shares = jax.nn.softmax(teacher.reshape(flat.shape), 1)
        target = (1 - recipe.teacher_weight) * target.reshape(flat.shape) + recipe.teacher_weight * shares
    entropy = -(target.reshape(flat.shape) * logs).sum(1)
    means = centres(found)
    wing = _wing(means - lesson.points).sum(-1)
    if teacher is not None:
        wing = (wing + _wing(means - centres(teacher)).sum(-1)) / 2
    weights = inside / jnp.maximum(inside.sum(), 1)
    distance = jnp.linalg.norm(means - lesson.points + 1e-9, axis=-1)
    loss = (weights * (entropy + recipe.distance_weight * wing)).sum()
    return loss, (weights * distance).sum()


def _wing(x: Array) -> Array:
    """Compute the wing loss (Feng et al. 2018): logarithmic near zero, linear beyond."""
    size = jnp.abs(x)
    near = WING * jnp.log1p(size / CURVATURE)
    return jnp.where(size < WING, near, size - WING + WING * jnp.log1p(WING / CURVATURE))
