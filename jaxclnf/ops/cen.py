"""Convolutional experts (CEN): response maps by a small network for every window of a patch.

Source: Zadeh, Baltrušaitis & Morency, "Convolutional Experts Constrained Local Model for Facial Landmark
Detection", 2017; OpenFace 2's `CEN_patch_expert.cpp`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

SIGMOID, RELU = 0, 2
"""Codes of a layer's activation; any other number means none."""


def windows(patch: Float[Array, "size size"], support: int) -> Float[Array, "n_cells n_inputs"]:
    """Lay out the windows that are computed: each is a constant 1 and its pixels, of mean 0 and norm 1.

    Cells of the map and pixels of a window are numbered column by column. Only the odd cells are computed.
    """
    n = patch.shape[0] - support + 1
    cells = np.arange(1, n * n, 2)
    pixels = np.arange(support * support)
    row = (cells % n)[:, None] + (pixels % support)[None]
    col = (cells // n)[:, None] + (pixels // support)[None]
    values = patch[row, col]
    values = values - values.mean(1, keepdims=True)
    square = jnp.sum(values**2, axis=1, keepdims=True)
    length = jnp.sqrt(jnp.where(square > 0, square, 1))
    return jnp.concatenate([jnp.ones_like(values[:, :1]), values / length], axis=1)


def layer(
    values: Float[Array, "n_cells n_in"],
    weights: Float[Array, "n_out n_in"],
    biases: Float[Array, " n_out"],
    activation: Int[Array, ""],
) -> Float[Array, "n_cells n_out"]:
    """Apply one layer of a network to all cells."""
    out = values @ weights.T + biases[None]
    out = jnp.where(activation == SIGMOID, jax.nn.sigmoid(out), out)
    return jnp.where(activation == RELU, jax.nn.relu(out), out)


def interpolation(window: int) -> Float[np.ndarray, "n_computed n_cells"]:
    """Weights of the computed cells in every cell: 1 for itself, or a share in the mean of neighbours."""
    n_cells = window * window
    col, row = np.divmod(np.arange(n_cells), window)
    steps = abs(row[:, None] - row[None]) + abs(col[:, None] - col[None])
    shares = (steps == 1) / np.maximum((steps == 1).sum(0, keepdims=True), 1)
    odd = np.arange(n_cells) % 2 == 1
    shares[:, odd] = np.eye(n_cells)[:, odd]
    return shares[odd].astype(np.float32)


def response(
    patch: Float[Array, "size size"],
    weights: tuple[Float[Array, "_ _"], ...],
    biases: tuple[Float[Array, " _"], ...],
    activations: Int[Array, " n_layers"],
    support: int,
) -> Float[Array, "window window"]:
    """Compute a patch's response map: odd cells by the network, the others as means of their neighbours."""
    values = windows(patch, support)
    for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
        values = layer(values, w, b, activations[k])
    window = patch.shape[0] - support + 1
    cells = values[:, 0] @ jnp.asarray(interpolation(window), values.dtype)
    return cells.reshape(window, window).T


def mirrored_response(
    patch: Float[Array, "size size"], *expert, support: int, mirrored: Array
) -> Float[Array, "window window"]:
    """Compute `response`; if ``mirrored``, of the mirrored patch, with the map mirrored back."""
    patch = jnp.where(mirrored, patch[:, ::-1], patch)
    found = response(patch, *expert, support=support)
    return jnp.where(mirrored, found[:, ::-1], found)
