"""CCNF response maps: neurons over a patch, then smoothing by the random field.

Source: OpenFace `CCNF_patch_expert.cpp`; Baltrušaitis, Robinson & Morency, "Continuous Conditional
Neural Fields for Structured Regression", 2014.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

MIN_ALPHA = 1e-4
"""Neurons with a smaller alpha are left out of a map, as in OpenFace."""

ALIGNED = 16
"""Matrix products run up to twice as fast when the rows of their results have a multiple of this length."""

LANES = 8
"""The multiple for narrow results."""


class Bank(NamedTuple):
    """The neurons of one landmark, laid out for a matrix product with patches of one size.

    A column of ``bands`` holds one neuron, of norm 1, at one place of a row of the response map; its
    rows are the samples of as many rows of the patch as the neuron is high.
    """

    bands: Float[Array, "strip maps_padded"]
    gain: Float[Array, " k"]
    steepness: Float[Array, " k"]
    offset: Float[Array, " k"]


def neuron_bank(
    weights: Float[Array, "k h w"],
    norm_weights: Float[Array, " k"],
    bias: Float[Array, " k"],
    alpha: Float[Array, " k"],
    size: int,
) -> Bank:
    """Lay out the neurons of a landmark for patches of ``size`` by ``size`` samples."""
    return Bank(_bands(weights, size), _gain(alpha), norm_weights, bias)


def bank_responses(
    bank: Bank, patches: Float[Array, "n size size"], support: tuple[int, int]
) -> Float[Array, "n rows cols"]:
    """Sum of the neurons' activations on patches of one landmark: see `neuron_responses`."""
    inverse_norm = _inverse_norms(patches, *support)
    n, rows, cols = inverse_norm.shape
    products = _strips(patches, support[0]) @ bank.bands
    # The product with 1 stops XLA from computing the norms anew for every neuron below.
    inverse_norm = inverse_norm.reshape(n * rows, cols) @ jnp.eye(cols, dtype=patches.dtype)
    total = jnp.zeros_like(inverse_norm)
    # A sum of separate terms is one pass over memory; a reduction over neurons is several.
    # Split rather than sliced, for the derivative of slices adds up one whole array for each.
    sizes = [cols] * len(bank.gain) + [products.shape[1] - cols * len(bank.gain)]
    neurons = zip(*(jnp.unstack(a) for a in (bank.gain, bank.steepness, bank.offset)), strict=True)
    for product, neuron in zip(jax.lax.split(products, sizes, axis=1), neurons, strict=False):
        total += _activation(product * inverse_norm, *neuron)
    return total.reshape(n, rows, cols)


def normalised_correlation(
    patches: Float[Array, "n size size"], weights: Float[Array, "n k h w"]
) -> Float[Array, "n k rows cols"]:
    """Zero-mean normalised cross-correlation of every window of a patch with each neuron.

    Values lie in [-1, 1]; a flat window gives 0.
    """
    maps = jax.vmap(_correlations)(patches, weights)[..., : weights.shape[1]]
    return jnp.transpose(maps, (0, 3, 2, 1))


def neuron_responses(
    patches: Float[Array, "n size size"],
    weights: Float[Array, "n k h w"],
    norm_weights: Float[Array, "n k"],
    bias: Float[Array, "n k"],
    alpha: Float[Array, "n k"],
) -> Float[Array, "n rows cols"]:
    """Sum of the neurons' activations ``2 alpha / (1 + exp(-(norm_weights * ncc + bias)))``.

    It takes one patch for each landmark; ncc is the `normalised_correlation`. `bank_responses` takes many.
    """

    def of_landmark(patch, weights, *neurons):
        norm_weights, bias, gain = (jnp.pad(a, (0, -len(a) % LANES))[None, None] for a in neurons)
        activations = _logistic(norm_weights * _correlations(patch, weights) + bias)
        return (activations @ gain[0, 0]).T

    return jax.vmap(of_landmark)(patches, weights, norm_weights, bias, _gain(alpha))


def smooth(
    responses: Float[Array, "n rows cols"], sigma: Float[Array, "n area area"]
) -> Float[Array, "n rows cols"]:
    """Compute the expectation of the random field: ``sigma`` times each row-major map, then `lift`."""
    smoothed = jnp.einsum("nij,nj->ni", sigma, responses.reshape(len(responses), -1))
    return lift(smoothed.reshape(responses.shape))


def lift(responses: Float[Array, "n rows cols"]) -> Float[Array, "n rows cols"]:
    """Make maps non-negative: a negative minimum is subtracted."""
    return responses - jnp.minimum(responses.min((-2, -1), keepdims=True), 0)


def _correlations(patch: Float[Array, "size size"], weights: Float[Array, "k h w"]):
    """`normalised_correlation` of a patch; axes: columns, rows, neurons padded with zeros to `LANES`."""
    k, h, w = weights.shape
    inverse_norm = _inverse_norms(patch[None], h, w)[0]
    neurons = jnp.pad(_of_norm_1(weights).reshape(k, h * w), ((0, -k % LANES), (0, 0)))
    return jnp.clip(_windows(patch, h, w) @ neurons.T * inverse_norm.T[..., None], -1, 1)


def _windows(patch: Float[Array, "size size"], h: int, w: int) -> Float[Array, "cols rows h_w"]:
    """The samples of every window of a patch, row after row."""
    size = len(patch)
    patch = _centred(patch[None])[0]
    of_column = jnp.stack([patch[:, c : c + w].reshape(-1) for c in range(size - w + 1)])
    window = partial(jax.lax.dynamic_slice_in_dim, slice_size=h * w)
    rows = jnp.arange(size - h + 1) * w
    return jax.vmap(jax.vmap(window, in_axes=(None, 0)), in_axes=(0, None))(of_column, rows)


def _of_norm_1(weights: Float[Array, "k h w"]) -> Float[Array, "k h w"]:
    """Subtract each neuron's mean and divide by its norm."""
    weights = weights - weights.mean((-2, -1), keepdims=True)
    norm = jnp.sqrt(jnp.sum(weights**2, (-2, -1), keepdims=True))
    return weights / jnp.where(norm > 0, norm, 1)


def _gain(alpha: Array) -> Array:
    return 2 * jnp.where(alpha > MIN_ALPHA, alpha, 0)


def _bands(weights: Float[Array, "k h w"], size: int) -> Float[Array, "strip maps_padded"]:
    """Zero-mean neurons of norm 1 as banded matrices, row of the patch and sample by neuron and column.

    They cost twice the multiplications of `_windows` but run ten times faster on many patches, since a
    product with only 7 columns is slow. Laying them out costs more than the products of a single face.
    """
    k, h, w = weights.shape
    weights = _of_norm_1(weights)
    cols = size - w + 1
    # Sample x of a row meets column c with weight x - c: for each x, a run of the reversed weights.
    reversed_rows = jnp.pad(weights[:, :, ::-1], ((0, 0), (0, 0), (cols - 1, cols - 1)))
    reversed_rows = jnp.swapaxes(reversed_rows, 0, 1)
    runs = [reversed_rows[:, :, size - 1 - x : size - 1 - x + cols] for x in range(size)]
    bands = jnp.stack(runs, axis=1).reshape(h * size, k * cols)
    return jnp.pad(bands, ((0, 0), (0, -bands.shape[1] % ALIGNED)))


def _strips(patches: Float[Array, "n size size"], height: int) -> Float[Array, "n_rows strip"]:
    """For every patch and row of its map, the ``height`` rows of samples under it in a row."""
    n, size, _ = patches.shape
    flat = _centred(patches).reshape(n, -1)
    starts = jnp.arange(size - height + 1) * size
    strip = partial(jax.lax.dynamic_slice_in_dim, slice_size=height * size)
    return jax.vmap(jax.vmap(strip, in_axes=(None, 0)), in_axes=(0, None))(flat, starts).reshape(
        -1, height * size
    )


def _inverse_norms(patches: Float[Array, "n size size"], h: int, w: int) -> Float[Array, "n rows cols"]:
    """1 / the norm of every ``h`` by ``w`` window about its mean; 0 where it is flat but for rounding."""
    patches = _centred(patches)
    squares = patches**2
    variance = _box_sum(squares, h, w) - _box_sum(patches, h, w) ** 2 / (h * w)
    noise = 8 * jnp.finfo(patches.dtype).eps * h * w * jnp.mean(squares, (-2, -1), keepdims=True)
    flat = variance <= noise
    return jnp.where(flat, 0, jax.lax.rsqrt(jnp.where(flat, 1, variance)))


def _centred(patches: Float[Array, "n size size"]) -> Float[Array, "n size size"]:
    """Subtract each patch's mean, which leaves the correlation as it is and loses fewer digits."""
    return patches - patches.mean((-2, -1), keepdims=True)


def _box_sum(patches: Float[Array, "n size size"], h: int, w: int) -> Float[Array, "n rows cols"]:
    """Sums over every ``h`` by ``w`` window."""
    n, size, _ = patches.shape
    rows, cols = size - h + 1, size - w + 1
    flat = patches.reshape(n, -1)
    down = sum((flat[:, r * size : (r + rows) * size] for r in range(1, h)), flat[:, : rows * size])
    inside = jnp.arange(size)[:, None] - jnp.arange(cols)[None]
    across = ((inside >= 0) & (inside < w)).astype(patches.dtype)
    return (down.reshape(n * rows, size) @ across).reshape(n, rows, cols)


@partial(jax.jit, inline=True)  # traced once for all neurons
def _activation(ncc: Array, gain: Array, steepness: Array, offset: Array) -> Array:
    return gain * _logistic(steepness * jnp.clip(ncc, -1, 1) + offset)


@jax.custom_jvp
def _logistic(x: Array) -> Array:
    return 1 / (1 + jnp.exp(-x))


@_logistic.defjvp
def _(primals, tangents):
    y = _logistic(*primals)
    return y, tangents[0] * (y * (1 - y))
