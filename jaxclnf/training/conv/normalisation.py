"""Batch normalisation of a network's layers: as it learns, and folded into its kernels and biases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxclnf.ops.conv_network import convolve, logits
from jaxclnf.types import ConvLayer, ConvLevel, ConvNetwork

EPSILON = 1e-3  # of the variances that normalisation divides by


class Learned(NamedTuple):
    """The values that a step changes: weights, and the scales of normalisation."""

    network: ConvNetwork
    gains: list[Float[Array, " n_out"]]  # a layer, in the order in which the network applies them


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

    return each_layer(learned.network, fold)


def each_layer(network: ConvNetwork, change: Callable[[ConvLayer], ConvLayer]) -> ConvNetwork:
    """Change every layer of a network but its head, in the order in which the network applies them."""

    def level(old: ConvLevel) -> ConvLevel:
        enter = change(old.enter)
        return ConvLevel(enter, tuple((change(a), change(b)) for a, b in old.blocks))

    stem = change(network.stem)
    down = tuple(level(old) for old in network.down)
    up = tuple(level(old) for old in network.up)
    return ConvNetwork(stem, down, up, network.head)
