"""The training of a convolutional expert: batch normalisation, losses, steps, the averaged network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxclnf.ops.conv_network import convolve, logits, normalised
from jaxclnf.training.conv.augmentation import Crops, Lesson, draw_lesson
from jaxclnf.training.conv.network_recipe import ConvRecipe
from jaxclnf.types import ConvLayer, ConvLevel, ConvNetwork

EPSILON = 1e-3  # of the variances that normalisation divides by
MEMORY = 0.99  # of the running means and variances, a step
WING, CURVATURE = 5.0, 0.7  # of the wing loss, pixels of the picture


class Learned(NamedTuple):
    """The values that a step changes: weights, and the scales of normalisation."""

    network: ConvNetwork
    gains: list[Float[Array, " n_out"]]  # a layer, in the order in which the network applies them


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
    return TrainingState(first, kept, met, _optimiser(recipe).init(first), jnp.int32(0))


def _shifted(network: ConvNetwork, means: list[Array]) -> ConvNetwork:
    """Add these means to the biases of the network, layer by layer; the head has none."""
    rest = iter(means)
    return _each_layer(network, lambda layer: ConvLayer(layer.kernel, layer.bias + next(rest)))


def _each_layer(network: ConvNetwork, change: Callable[[ConvLayer], ConvLayer]) -> ConvNetwork:
    """Change every layer of the network but the head, in the order in which it applies them."""

    def level(old: ConvLevel) -> ConvLevel:
        enter = change(old.enter)
        return ConvLevel(enter, tuple((change(a), change(b)) for a, b in old.blocks))

    stem = change(network.stem)
    down = tuple(level(old) for old in network.down)
    up = tuple(level(old) for old in network.up)
    return ConvNetwork(stem, down, up, network.head)


def _optimiser(recipe: ConvRecipe) -> optax.GradientTransformation:
    """Adam with decoupled weight decay of the kernels, before the rate of a step."""

    def is_kernel(tree):
        return jax.tree.map(lambda a: a.ndim == 4, tree)

    decay = optax.add_decayed_weights(recipe.decay / recipe.rate, mask=is_kernel)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(b2=0.99), decay)


def _rate(recipe: ConvRecipe, share: Array) -> Array:
    """Give the learning rate after a share of the steps: a short rise, then half a cosine."""
    rise = jnp.minimum(share / 0.02, 1.0)
    return recipe.rate * rise * (0.501 + 0.499 * jnp.cos(jnp.pi * jnp.minimum(share, 1.0)))


def network_logits(
    learned: Learned, pictures: Array, dtype: Any = jnp.float32
) -> tuple[Array, list[tuple[Array, Array]]]:
    """Compute logits with every layer normalised over the batch, and the batch's means and variances."""
    gains, met = iter(learned.gains), []

    def apply(layer: ConvLayer, x: Array, stride: int) -> Array:
        plain = ConvLayer(layer.kernel.astype(dtype), jnp.zeros_like(layer.bias, dtype))
        y = convolve(plain, x, stride).astype(jnp.float32)
        mean, variance = y.mean((0, 1, 2)), y.var((0, 1, 2))
        met.append((mean, variance))
        scale = next(gains) / jnp.sqrt(variance + EPSILON)
        return ((y - mean[None, None, None]) * scale[None, None, None] + layer.bias[None, None, None]).astype(
            dtype
        )

    head = learned.network.head
    network = ConvNetwork(
        learned.network.stem,
        learned.network.down,
        learned.network.up,
        ConvLayer(head.kernel.astype(dtype), head.bias.astype(dtype)),
    )
    return logits(network, pictures.astype(dtype), apply).astype(jnp.float32), met


def folded(learned: Learned, statistics: list[tuple[Array, Array]]) -> ConvNetwork:
    """Fold the running normalisation into the network's kernels and biases."""
    rest = iter(zip(learned.gains, statistics, strict=True))

    def fold(layer: ConvLayer) -> ConvLayer:
        gain, (mean, variance) = next(rest)
        scale = gain / jnp.sqrt(variance + EPSILON)
        return ConvLayer(layer.kernel * scale[None, None, None], layer.bias - mean * scale)

    return _each_layer(learned.network, fold)


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
        advice = None
        if teacher is not None:
            cast = jax.tree.map(lambda a: a.astype(dtype), teacher)
            advice = jax.lax.stop_gradient(logits(cast, pictures.astype(dtype)).astype(jnp.float32))

        def loss(learned):
            found, met = network_logits(learned, pictures, dtype)
            value, distance = losses(found, lesson, recipe, advice)
            return value, (distance, met)

        before: Any = state.learned
        (value, (distance, met)), gradient = jax.value_and_grad(loss, has_aux=True)(before)
        updates, optimiser = _optimiser(recipe).update(gradient, state.optimiser, before)
        done = state.step.astype(n_steps.dtype)
        rate = -_rate(recipe, done / n_steps)
        learned = optax.apply_updates(before, jax.tree.map(lambda u: rate * u, updates))
        # The average forgets faster at the start, since early weights are poor.
        keep = jnp.minimum(recipe.average, (1 + done) / (10 + done))
        kept = jax.tree.map(lambda a, b: keep * a + (1 - keep) * b, state.kept, learned)
        memory = jnp.minimum(MEMORY, (1 + done) / (10 + done))
        statistics = jax.tree.map(lambda a, b: memory * a + (1 - memory) * b, state.statistics, met)
        return TrainingState(learned, kept, statistics, optimiser, state.step + 1), (value, distance)  # pyright: ignore

    if n == 1:  # in a loop, even of one round, XLA's convolutions on CPUs are thirty times as slow
        state, (value, distance) = one(state, None)
        return state, value, distance
    state, (values, distances) = jax.lax.scan(one, state, None, length=n)
    return state, values.mean(), distances.mean()


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
