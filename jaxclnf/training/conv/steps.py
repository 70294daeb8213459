"""The steps of a network's training, and the averaged network after them."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxclnf.ops.conv_network import logits, normalised
from jaxclnf.training.conv.augmentation import Crops, draw_lesson
from jaxclnf.training.conv.network_loss import losses
from jaxclnf.training.conv.network_recipe import ConvRecipe
from jaxclnf.training.conv.normalisation import Learned, folded, network_logits
from jaxclnf.training.conv.training_state import TrainingState, optimiser_of
from jaxclnf.types import ConvNetwork

MEMORY = 0.99  # of the running means and variances, a step


def _rate(recipe: ConvRecipe, share: Array) -> Array:
    """Give the learning rate after a share of the steps: a short rise, then half a cosine."""
    rise = jnp.minimum(share / 0.02, 1.0)
    return recipe.rate * rise * (0.501 + 0.499 * jnp.cos(jnp.pi * jnp.minimum(share, 1.0)))


@partial(jax.jit, static_argnames=("recipe", "n", "dtype"), donate_argnames=("state",))
def take_steps(
    state: TrainingState,
    crops: Crops,
    mirror: Array,
    key: Array,
    recipe: ConvRecipe,
    n: int,
    n_steps: Array,
    teacher: ConvNetwork | None = None,
    dtype: Any = jnp.float32,
) -> tuple[TrainingState, Array, Array]:
    """Take ``n`` of ``n_steps`` steps; returns the state, the mean loss and the mean distance in pixels."""

    def one(state: TrainingState, _):
        lesson = draw_lesson(crops, mirror, recipe, jax.random.fold_in(key, state.step))
        pictures = normalised(lesson.pictures)
        advice = None if teacher is None else _advice(teacher, pictures, dtype)

        def loss(learned):
            found, met = network_logits(learned, pictures, dtype)
            value, distance = losses(found, lesson, recipe, advice)
            return value, (distance, met)

        learned: Any = state.learned
        (value, (distance, met)), gradient = jax.value_and_grad(loss, has_aux=True)(learned)
        return _moved(state, gradient, met, recipe, n_steps), (value, distance)

    if n == 1:  # in a loop, even of one round, XLA's convolutions on CPUs are thirty times as slow
        state, (value, distance) = one(state, None)
        return state, value, distance
    state, (values, distances) = jax.lax.scan(one, state, None, length=n)
    return state, values.mean(), distances.mean()


def _advice(teacher: ConvNetwork, pictures: Array, dtype: Any) -> Array:
    """Give a teacher's maps of pictures, which nothing changes."""
    cast = jax.tree.map(lambda a: a.astype(dtype), teacher)
    return jax.lax.stop_gradient(logits(cast, pictures.astype(dtype)).astype(jnp.float32))


def _moved(
    state: TrainingState, gradient: Any, met: Any, recipe: ConvRecipe, n_steps: Array
) -> TrainingState:
    """Go a step against the gradient; ``met`` are the means and variances of the layers on its way."""
    before: Any = state.learned
    updates, optimiser = optimiser_of(recipe).update(gradient, state.optimiser, before)
    done = state.step.astype(n_steps.dtype)
    rate = -_rate(recipe, done / n_steps)
    learned = optax.apply_updates(before, jax.tree.map(lambda u: rate * u, updates))
    # Averages forget faster at the start, since early weights are poor.
    young = (1 + done) / (10 + done)
    kept = _nearer(state.kept, learned, jnp.minimum(recipe.average, young))
    statistics = _nearer(state.statistics, met, jnp.minimum(MEMORY, young))
    return TrainingState(learned, kept, statistics, optimiser, state.step + 1)  # pyright: ignore


def _nearer(average: Any, new: Any, keep: Array) -> Any:
    """Let a running average go towards what is new."""
    return jax.tree.map(lambda a, b: keep * a + (1 - keep) * b, average, new)


def steady_network(
    state: TrainingState,
    crops: Crops,
    mirror: Array,
    key: Array,
    recipe: ConvRecipe,
    n: int,
    dtype: Any = jnp.float32,
) -> ConvNetwork:
    """Fold the averaged network with its own statistics over ``n`` batches."""
    # A call a batch: in a loop of XLA's convolutions are slow on CPUs.
    each = [_statistics(state.kept, crops, mirror, k, recipe, dtype) for k in jax.random.split(key, n)]
    met = jax.tree.map(lambda *rows: jnp.stack(rows), *each)
    means = [(mean.mean(0), variance.mean(0) + mean.var(0)) for mean, variance in met]
    return folded(state.kept, means)


@partial(jax.jit, static_argnames=("recipe", "dtype"))
def _statistics(
    kept: Learned, crops: Crops, mirror: Array, key: Array, recipe: ConvRecipe, dtype: Any
) -> list[tuple[Array, Array]]:
    """Measure means and variances of every normalised layer on a batch of pictures."""
    lesson = draw_lesson(crops, mirror, recipe, key)
    return network_logits(kept, normalised(lesson.pictures), dtype)[1]
