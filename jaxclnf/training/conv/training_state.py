"""The state of a network's training, and its beginning: with a new network, or one that learns further."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxclnf.ops.conv_network import convolve, logits
from jaxclnf.training.conv.network_recipe import ConvRecipe
from jaxclnf.training.conv.normalisation import EPSILON, Learned, each_layer
from jaxclnf.types import ConvLayer, ConvLevel, ConvNetwork


class TrainingState(NamedTuple):
    """The state of a training run between two steps."""

    learned: Learned
    kept: Learned  # the moving average
    statistics: list[tuple[Array, Array]]  # running mean and variance of every normalised layer
    optimiser: Any
    step: Array


def first_network(recipe: ConvRecipe, n_points: int, key: Array) -> ConvNetwork:
    """Make a network of random kernels, whose residual blocks start near zero."""
    keys = iter(jax.random.split(key, 200))

    def layer(side: int, n_in: int, n_out: int, gain: float = 2.0) -> ConvLayer:
        deviation = jnp.sqrt(gain / (side * side * n_in))
        kernel = deviation * jax.random.normal(next(keys), (side, side, n_in, n_out))
        return ConvLayer(kernel, jnp.zeros(n_out))

    def blocks(n: int, c: int) -> tuple[tuple[ConvLayer, ConvLayer], ...]:
        return tuple((layer(3, c, c), layer(3, c, c)) for _ in range(n))

    channels = recipe.channels
    entering = zip((recipe.stem, *channels[:-1]), channels, recipe.blocks, strict=True)
    down = tuple(ConvLevel(layer(4, a, b), blocks(n, b)) for a, b, n in entering)
    rising = zip(channels[:0:-1], channels[-2::-1], strict=True)
    up = tuple(ConvLevel(layer(1, a, b), blocks(1, b)) for a, b in rising)
    return ConvNetwork(layer(6, 1, recipe.stem), down, up, layer(1, channels[0], 4 * n_points, 0.1))


def begin(recipe: ConvRecipe, n_points: int) -> TrainingState:
    """Make the state of a run before its first step."""
    network = first_network(recipe, n_points, jax.random.key(recipe.seed))
    widths: list[int] = []

    def count(layer, x, stride):
        widths.append(layer.kernel.shape[-1])
        return convolve(layer, x, stride)

    jax.eval_shape(lambda x: logits(network, x, count), jnp.zeros((1, recipe.side, recipe.side)))
    learned: Any = Learned(network, [jnp.ones(n) for n in widths])
    return _before_steps(recipe, learned, [(jnp.zeros(n), jnp.ones(n)) for n in widths])


def begin_from(
    network: ConvNetwork, recipe: ConvRecipe, pictures: Float[Array, "batch side side"]
) -> TrainingState:
    """Make the state of a run that goes on with a finished network, normalised as these pictures fill it.

    On them it gives the maps that it gave before.
    """
    met: list[tuple[Array, Array]] = []

    def measure(layer, x, stride):
        y = convolve(layer, x, stride)
        met.append((y.mean((0, 1, 2)) - layer.bias, y.var((0, 1, 2))))
        return y

    logits(network, pictures, measure)
    gains = [jnp.sqrt(variance + EPSILON) for _, variance in met]
    return _before_steps(recipe, Learned(_shifted(network, [mean for mean, _ in met]), gains), met)


def _before_steps(
    recipe: ConvRecipe, learned: Learned, statistics: list[tuple[Array, Array]]
) -> TrainingState:
    first, kept, met = jax.tree.map(jnp.copy, (learned, learned, statistics))
    return TrainingState(first, kept, met, optimiser_of(recipe).init(first), jnp.int32(0))


def _shifted(network: ConvNetwork, means: list[Array]) -> ConvNetwork:
    """Add these means to the biases of the network, layer by layer; the head has none."""
    rest = iter(means)
    return each_layer(network, lambda layer: ConvLayer(layer.kernel, layer.bias + next(rest)))


def optimiser_of(recipe: ConvRecipe) -> optax.GradientTransformation:
    """Make the optimiser: Adam with decoupled weight decay of the kernels, before the rate of a step."""

    def is_kernel(tree):
        return jax.tree.map(lambda a: a.ndim == 4, tree)

    decay = optax.add_decayed_weights(recipe.decay / recipe.rate, mask=is_kernel)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(b2=0.99), decay)
