"""The network of a convolutional expert: from one picture of a face to logits of all response maps.

A residual network goes down to a few cells that see the whole face and comes up again, adding what the finer
levels saw. Strided kernels have even sides, so that a mirrored picture gives mirrored maps as well as it can.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxclnf.types import ConvLayer, ConvNetwork


@runtime_checkable
class Apply(Protocol):
    """What a layer does to an array at a stride; training has normalisation in it."""

    def __call__(self, layer: ConvLayer, x: Array, stride: int) -> Array: ...


def convolve(
    layer: ConvLayer, x: Float[Array, "batch h w c"], stride: int = 1
) -> Float[Array, "batch y x d"]:
    """The layer's convolution, zeros beyond the border; the output has the input's sides over the stride."""
    side = layer.kernel.shape[0]
    before = (side - stride) // 2
    padding = [(before, side - stride - before)] * 2
    dims = ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(x, layer.kernel, (stride, stride), padding, dimension_numbers=dims)
    return y + layer.bias[None, None, None]


def logits(
    network: ConvNetwork, pictures: Float[Array, "batch side side"], apply: Apply = convolve
) -> Float[Array, "batch cells cells n_points"]:
    """Logits of every landmark's place on a grid of half the picture's sides."""
    x = jax.nn.silu(apply(network.stem, pictures[..., None], 2))
    seen = []
    for level in network.down:
        x = jax.nn.silu(apply(level.enter, x, 2))
        for block in level.blocks:
            x = _residual(block, x, apply)
        seen.append(x)
    for level, finer in zip(network.up, seen[-2::-1], strict=True):
        x = jax.nn.silu(_twice(apply(level.enter, x, 1)) + finer)
        for block in level.blocks:
            x = _residual(block, x, apply)
    return _spread(convolve(network.head, x))


def normalised(pictures: Float[Array, "batch side side"]) -> Float[Array, "batch side side"]:
    """Pictures (grey 0..255) of mean 0 and deviation about 1; flat ones stay flat."""
    grey = pictures / 255
    grey = grey - grey.mean((1, 2), keepdims=True)
    return grey / (jnp.sqrt(jnp.mean(grey**2, (1, 2), keepdims=True) + 1e-8) + 0.05)


def _residual(block: tuple[ConvLayer, ConvLayer], x: Array, apply: Apply) -> Array:
    first, second = block
    return jax.nn.silu(x + apply(second, jax.nn.silu(apply(first, x, 1)), 1))


def _twice(x: Array) -> Array:
    """Every cell as two by two."""
    batch, height, width, channels = x.shape
    wide = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, channels))
    return wide.reshape(batch, 2 * height, 2 * width, channels)


def _spread(x: Array) -> Array:
    """Four values a cell and landmark as two by two cells."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, 2, 2, channels // 4)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, channels // 4)


def moments(
    maps: Float[Array, "cells cells n_points"], side: int
) -> tuple[Float[Array, "n_points 2"], Float[Array, "n_points 2 2"]]:
    """Means and covariances of response maps that sum to 1, in pixels of a picture of ``side``."""
    n_cells = maps.shape[0]
    step = side / n_cells
    cells = step * (jnp.arange(n_cells, dtype=maps.dtype) + 0.5) - 0.5
    # About the middle, where float32 keeps the squares exact enough.
    about = cells - (side - 1) / 2
    powers = jnp.stack([jnp.ones_like(about), about, about**2])
    along_x = jnp.einsum("kx,yxn->ykn", powers, maps)
    one, x, xx = jnp.einsum("ky,ymn->kmn", powers, along_x).swapaxes(0, 1)
    mean = jnp.stack([x[0], one[1]], -1)
    xy = x[1] - x[0] * one[1]
    covariance = jnp.stack([xx[0] - x[0] ** 2, xy, xy, one[2] - one[1] ** 2], -1).reshape(-1, 2, 2)
    return mean + (side - 1) / 2, covariance
