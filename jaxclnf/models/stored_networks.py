"""Convolutional experts on disk: their layers' arrays by place, with eight bits for each weight of a kernel.

Each output channel of a kernel has a scale of its own, of which every weight is a whole number of steps, off
by at most half a step, a 254th of the channel's largest weight (tests/models/test_stored_networks.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from jaxclnf.models.checked_arrays import finite
from jaxclnf.models.memory_budget import Budget
from jaxclnf.types import ConvExperts, ConvLayer, ConvLevel, ConvNetwork

STEPS = 127
"""Number of steps on each side of zero."""

MAX_SIDE = 512
"""Pixels of a picture's side beyond which a file is refused."""


def outlines(experts: Sequence[Any]) -> dict[str, np.ndarray]:
    """Describe the static part of convolutional experts, by their place in the model."""
    found: dict[str, np.ndarray] = {}
    for i, e in enumerate(experts):
        if isinstance(e, ConvExperts):
            found[f"experts/{i}/side"] = np.array(e.side)
            found[f"experts/{i}/mirror"] = np.array(e.mirror, np.int64)
    return found


def rounded(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Round every kernel to whole numbers of one byte, stored with the scales of its channels."""
    found: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if not name.endswith("/kernel"):
            found[name] = array
            continue
        largest = np.abs(array).max((0, 1, 2))
        scale = (np.where(largest > 0, largest, 1) / STEPS).astype(np.float32)
        found[name] = np.round(array / scale).astype(np.int8)
        found[f"{name}_scale"] = scale
    return found


def build_networks(tree: dict[str, Any], n_points: int, dtype: np.dtype, budget: Budget) -> ConvExperts:
    """Build a convolutional expert from nested arrays; raises ValueError if they do not fit."""
    made = partial(_layer, dtype=dtype, budget=budget)
    network = tree["network"]
    stem = made(network["stem"], 1)
    down, channels = _levels(network["down"], stem.bias.size, made)
    up, last = _levels(network["up"], channels[-1], made)
    head = made(network["head"], last[-1])
    side, mirror = int(tree["side"]), tuple(int(i) for i in np.ravel(tree["mirror"]))
    halves = 2 ** (len(down) + 1)
    if (
        not 0 < side <= MAX_SIDE
        or side % halves
        or last != channels[-2::-1]
        or head.bias.size != 4 * n_points
    ):
        raise ValueError(f"a network of {channels} channels, then {last}, for pictures of {side} pixels")
    if mirror and sorted(mirror) != list(range(n_points)):
        raise ValueError(f"mirror {mirror}: expected each of {n_points} landmarks once, or none")
    single = [finite(f"experts/{name}", tree[name], dtype, budget) for name in ("patch_scale", "spread")]
    if any(a.ndim or a <= 0 for a in single):
        raise ValueError("patch_scale and spread: expected a number above 0 each")
    scale, spread = single
    network = ConvNetwork(stem, down, up, head)
    return ConvExperts(patch_scale=scale, spread=spread, network=network, side=side, mirror=mirror)  # pyright: ignore[reportArgumentType]


def _levels(
    tree: dict[str, Any], n_in: int, made: Callable[..., ConvLayer]
) -> tuple[tuple[ConvLevel, ...], list[int]]:
    """Build the levels in their order; returns them with each one's channels."""
    levels, channels = [], []
    for i in range(len(tree)):
        enter = made(tree[str(i)]["enter"], n_in)
        n_in = enter.bias.size
        pairs = tree[str(i)].get("blocks", {})
        blocks = [tuple(made(pairs[str(k)][place], n_in) for place in "01") for k in range(len(pairs))]
        if any(layer.bias.size != n_in for block in blocks for layer in block):
            raise ValueError(f"level {i}: its blocks do not keep {n_in} channels")
        levels.append(ConvLevel(enter, tuple(blocks)))  # pyright: ignore[reportArgumentType]
        channels.append(n_in)
    return tuple(levels), channels


def _layer(tree: dict[str, Any], n_in: int, dtype: np.dtype, budget: Budget) -> ConvLayer:
    kernel, bias = (finite(name, tree[name], dtype, budget) for name in ("kernel", "bias"))
    if "kernel_scale" in tree:
        kernel = kernel * finite("kernel_scale", tree["kernel_scale"], dtype, budget)
    if (
        kernel.ndim != 4
        or kernel.shape[2:] != (n_in, bias.size)
        or not 0 < kernel.shape[0] == kernel.shape[1] < 12
    ):
        raise ValueError(f"a kernel of shape {kernel.shape} after {n_in} channels, with {bias.shape} biases")
    return ConvLayer(kernel, bias)  # pyright: ignore[reportArgumentType]
