"""The layers of a small convolutional network, for one picture; the first axis is the map."""

import jax
from jaxtyping import Array, Float


def correlate(
    maps: Float[Array, "n_in height width"],
    kernels: Float[Array, "n_out n_in kernel_h kernel_w"],
    biases: Float[Array, " n_out"],
) -> Float[Array, "n_out out_h out_w"]:
    """Correlate all maps with each kernel (not flipped) wherever it fits, and add its bias."""
    return jax.lax.conv(maps[None], kernels, (1, 1), "VALID")[0] + biases[:, None, None]


def max_pool(maps: Float[Array, "n height width"]) -> Float[Array, "n half_height half_width"]:
    """Take the largest of each 2 x 2 pixels; sides are even."""
    n, height, width = maps.shape
    return maps.reshape(n, height // 2, 2, width // 2, 2).max((2, 4))


def mean_pool(maps: Float[Array, "n height width"]) -> Float[Array, "n half_height half_width"]:
    """Take the mean of each 2 x 2 pixels; sides are even."""
    n, height, width = maps.shape
    return maps.reshape(n, height // 2, 2, width // 2, 2).mean((2, 4))


def column_major(maps: Float[Array, "n height width"]) -> Float[Array, " n_values"]:
    """Flatten maps one after the other, column by column, as OpenFace's fully connected layers take them."""
    return maps.swapaxes(1, 2).reshape(-1)
