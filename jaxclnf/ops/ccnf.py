"""CCNF response maps: neurons over a patch, then smoothing by the random field.

Source: OpenFace `CCNF_patch_expert.cpp`; Baltrušaitis, Robinson & Morency, "Continuous Conditional
Neural Fields for Structured Regression", 2014.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

MIN_ALPHA = 1e-4
"""OpenFace leaves neurons of a smaller alpha out of a map."""


def normalised_correlation(
    patches: Float[Array, "n size size"], weights: Float[Array, "n k h w"]
) -> Float[Array, "n k rows cols"]:
    """Zero-mean normalised cross-correlation of every window of a patch with each neuron.

    Values lie in [-1, 1]; a flat window gives 0.
    """
    h, w = weights.shape[-2:]
    weights = weights - weights.mean((-2, -1), keepdims=True)
    weight_norm = jnp.sqrt(jnp.sum(weights**2, (-2, -1)))
    # A patch's mean changes nothing here but the rounding of the variance below.
    patches = patches - patches.mean((-2, -1), keepdims=True)
    numerator = _correlate(patches, weights)
    variance = _box_sum(patches**2, h, w) - _box_sum(patches, h, w) ** 2 / (h * w)
    flat = variance <= _noise_floor(patches, h * w)
    inverse = jnp.where(flat, 0, 1 / jnp.sqrt(jnp.where(flat, 1, variance)))[:, None]
    inverse = inverse / jnp.where(weight_norm > 0, weight_norm, 1)[..., None, None]
    return jnp.clip(numerator * inverse, -1, 1)


def neuron_responses(
    patches: Float[Array, "n size size"],
    weights: Float[Array, "n k h w"],
    norm_weights: Float[Array, "n k"],
    bias: Float[Array, "n k"],
    alpha: Float[Array, "n k"],
) -> Float[Array, "n rows cols"]:
    """Sum of the neurons' activations ``2 alpha / (1 + exp(-(norm_weights * ncc + bias)))``."""
    ncc = normalised_correlation(patches, weights)
    gain = 2 * jnp.where(alpha > MIN_ALPHA, alpha, 0)
    steepness, offset = norm_weights[..., None, None], bias[..., None, None]
    return jnp.sum(gain[..., None, None] * _logistic(steepness * ncc + offset), axis=1)


def smooth(
    responses: Float[Array, "n rows cols"], sigma: Float[Array, "n area area"]
) -> Float[Array, "n rows cols"]:
    """Expectation of the random field: ``sigma`` times each row-major map, made non-negative by `lift`."""
    smoothed = jnp.einsum("nij,nj->ni", sigma, responses.reshape(len(responses), -1))
    return lift(smoothed.reshape(responses.shape))


def lift(responses: Float[Array, "n rows cols"]) -> Float[Array, "n rows cols"]:
    """Maps without negative values: where the least is negative, it is subtracted."""
    return responses - jnp.minimum(responses.min((-2, -1), keepdims=True), 0)


def row_toeplitz(weights: Float[Array, "*n w"], size: int) -> Float[Array, "*n size cols"]:
    """Banded matrices that correlate a row of ``size`` samples with each filter (as ``row @ matrix``)."""
    cols = size - weights.shape[-1] + 1
    padded = jnp.pad(weights, [(0, 0)] * (weights.ndim - 1) + [(0, size + 1 - weights.shape[-1])])
    # Repeating a period of size + 1 in rows of size shifts the filter by one sample a row.
    bands = jnp.tile(padded, cols)[..., : cols * size]
    return jnp.swapaxes(bands.reshape(*weights.shape[:-1], cols, size), -1, -2)


def _correlate(
    patches: Float[Array, "n size size"], weights: Float[Array, "n k h w"]
) -> Float[Array, "n k rows cols"]:
    """Valid correlation as one matrix product a landmark: whole rows in, whole rows out.

    The banded weights cost twice the multiplications of im2col and run ten times faster on a CPU,
    where a product with 7 columns wastes the machine.
    """
    n, k, h, _ = weights.shape
    size = patches.shape[-1]
    rows = size - h + 1
    bands = jnp.moveaxis(row_toeplitz(weights, size), 1, 3)  # n, h, size, k, cols
    bands = bands.reshape(n, h * size, -1)
    strips = jnp.stack([patches[:, r : r + rows] for r in range(h)], axis=2)  # n, rows, h, size
    maps = strips.reshape(n, rows, h * size) @ bands
    return jnp.moveaxis(maps.reshape(n, rows, k, -1), 2, 1)


def _box_sum(patches: Float[Array, "n size size"], h: int, w: int) -> Float[Array, "n rows cols"]:
    """Sums over every ``h`` by ``w`` window."""
    size = patches.shape[-1]
    ones = jnp.ones(max(h, w), patches.dtype)
    return row_toeplitz(ones[:h], size).T @ patches @ row_toeplitz(ones[:w], size)


def _noise_floor(patches: Float[Array, "n size size"], area: int) -> Float[Array, "n 1 1"]:
    """The variance sum below which a window is flat but for rounding."""
    mean_square = jnp.mean(patches**2, (-2, -1), keepdims=True)
    return 8 * jnp.finfo(patches.dtype).eps * area * mean_square


def _logistic(x: Array) -> Array:
    return 1 / (1 + jnp.exp(-x))
