"""The network of a convolutional expert: from one picture of a face to logits of all response maps.

A residual network goes down to a few cells that see the whole face and up again, adding the finer levels'
output. Strided kernels have even sides, so that a mirrored picture gives nearly the mirrored maps.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxclnf.types import ConvLayer, ConvNetwork


@runtime_checkable
class Apply(Protocol):
    """Function that applies a layer to an array at a stride; in training it includes normalisation."""

    def __call__(self, layer: ConvLayer, x: Array, stride: int) -> Array: ...


def convolve(
    layer: ConvLayer, x: Float[Array, "batch h w c"], stride: int = 1
) -> Float[Array, "batch y x d"]:
    """Convolve with zeros beyond the border; the output's sides are the input's divided by the stride."""
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
    """Normalise pictures (grey 0..255) to mean 0 and standard deviation about 1; flat ones stay flat."""
    grey = pictures / 255
    grey = grey - grey.mean((1, 2), keepdims=True)
    return grey / (jnp.sqrt(jnp.mean(grey**2, (1, 2), keepdims=True) + 1e-8) + 0.05)


def _residual(block: tuple[ConvLayer, ConvLayer], x: Array, apply: Apply) -> Array:
    first, second = block
    return jax.nn.silu(x + apply(second, jax.nn.silu(apply(first, x, 1)), 1))


def _twice(x: Array) -> Array:
    """Repeat every cell two by two times."""
    batch, height, width, channels = x.shape
    wide = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, channels))
    return wide.reshape(batch, 2 * height, 2 * width, channels)


def _spread(x: Array) -> Array:
    """Spread four values for each cell and landmark over two by two cells."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, 2, 2, channels // 4)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, channels // 4)


def network_moments(
    network: ConvNetwork, pictures: Float[Array, "n side side"]
) -> Float[Array, "n n_points 5"]:
    """Moments of every landmark's response map on pictures: the means of x, y, x², xy and y².

    The maps are the softmax of the network's logits; x and y are pixels of the picture, from its middle on.
    """
    found = logits(network, pictures)
    n, n_cells, _, n_points = found.shape
    maps = jax.nn.softmax(found.reshape(n, -1, n_points), axis=1).reshape(found.shape)
    step = pictures.shape[-1] / n_cells
    # From the middle on, where float32 keeps the squares exact enough.
    cells = step * (jnp.arange(n_cells, dtype=maps.dtype) - (n_cells - 1) / 2)
    powers = jnp.stack([jnp.ones_like(cells), cells, cells**2])
    of_powers = jnp.einsum("ky,lx,byxn->bnkl", powers, powers, maps)
    return jnp.stack([of_powers[..., i, j] for i, j in ((0, 1), (1, 0), (0, 2), (1, 1), (2, 0))], -1)


def mirrored_moments(
    moments: Float[Array, "*batch n_points 5"], mirror: tuple[int, ...]
) -> Float[Array, "*batch n_points 5"]:
    """Turn the moments of a mirrored picture's maps back; landmark i appears there as ``mirror[i]``."""
    signs = jnp.array([-1, 1, 1, -1, 1], moments.dtype).reshape((1,) * (moments.ndim - 1) + (5,))
    return signs * moments[..., jnp.array(mirror), :]


def mean_and_covariance(
    moments: Float[Array, "*batch 5"],
) -> tuple[Float[Array, "*batch 2"], Float[Array, "*batch 2 2"]]:
    """Compute the mean and covariance of maps from their moments."""
    mean = moments[..., :2]
    second = moments[..., jnp.array([2, 3, 3, 4])].reshape(*mean.shape, 2)
    return mean, second - mean[..., :, None] * mean[..., None, :]
