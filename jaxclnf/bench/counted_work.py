"""The operations and memory traffic of a fit, counted from its sizes, and the machine's limits."""

from __future__ import annotations

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclnf import native
from jaxclnf.config import FitConfig
from jaxclnf.types import ConvExperts, Model, PatchExperts

FLOAT = 4  # bytes


class Work(NamedTuple):
    """Floating-point operations and bytes of one face's fit, summed over stages and start rotations.

    ``useful`` counts the correlations as they are defined, which is how C computes them; ``performed`` as
    they run: XLA's are the banded matrix products of `jaxclnf.ops.ccnf`, with the zeros they multiply.
    ``bytes`` counts what passes between steps when each reads and writes its arrays once: patches,
    neurons' products, maps.
    """

    useful: float
    performed: float
    bytes: float


def maps_in_c(model: Model) -> bool:
    """Tell whether fits in this process compute their response maps in C."""
    return jax.local_devices()[0].platform == "cpu" and native.serves(patch_experts(model).weights)


def patch_experts(model: Model) -> PatchExperts:
    """Find the model's first CCNF patch experts; raises ValueError if it has none."""
    for experts in model.experts:
        if isinstance(experts, PatchExperts):
            return experts
    raise ValueError("expected a model with CCNF patch experts, whose work the bench counts; it has none")


def fit_work(model: Model, config: FitConfig) -> Work:
    """Count the work of one face that goes through all stages."""
    total, starts = np.zeros(3), len(config.start_rotations)
    banded = not maps_in_c(model)
    for _, stage, experts in model.stages_of(config):
        starts = min(starts, stage.keep or starts)
        if isinstance(experts, ConvExperts):
            total += starts * np.array(_network_work(experts, stage.looks * (1 + stage.mirrored)))
            continue
        if not isinstance(experts, PatchExperts):
            raise ValueError("the work of CEN experts is not counted; name a model of other experts")
        _, points, neurons, height, width = experts.weights.shape
        sizes = points, neurons, height, width, model.pdm.n_modes
        smoothed = stage.window in experts.sigma
        total += starts * np.array(_stage_work(stage.window, stage.iterations, smoothed, banded, *sizes))
    return Work(*map(float, total))


def _stage_work(window, iterations, smoothed, banded, points, neurons, height, width, modes) -> Work:
    area, patch = window**2, window + width - 1
    activations = 8 * neurons * area * points
    smoothing = 2 * area**2 * points if smoothed else 0
    shifts = 2 * iterations * points * (4 * area + 12 * window)
    local = 12 * modes**2 * points + iterations * (12 * modes**2 + 42 * points * modes + (modes + 6) ** 3 / 3)
    sampling = 12 * (window + height - 1) * patch * points
    rest = activations + smoothing + shifts + local + sampling
    correlation = 2 * neurons * height * width * area * points
    products = 2 * window * (height * patch) * (neurons * window) * points if banded else correlation
    patches, maps = (window + height - 1) * patch * points, area * points
    moved = 2 * patches + 2 * neurons * maps + 2 * maps + (2 * iterations + 1) * maps
    return Work(correlation + rest, products + rest, FLOAT * moved)


def _network_work(experts: ConvExperts, n_pictures: int) -> Work:
    """Count a network's products; between layers each array is written once and read once."""
    network, side = experts.network, experts.side // 2
    layers = [(network.stem, side)]
    for level in network.down:
        side //= 2
        layers += [(layer, side) for layer in (level.enter, *sum(level.blocks, ()))]
    for level in network.up:
        layers.append((level.enter, side))
        side *= 2
        layers += [(layer, side) for layer in sum(level.blocks, ())]
    layers.append((network.head, side))
    operations = n_pictures * sum(2 * layer.kernel.size * cells**2 for layer, cells in layers)
    moved = n_pictures * sum(2 * layer.bias.size * cells**2 for layer, cells in layers)
    return Work(operations, operations, FLOAT * moved)


class Ceilings(NamedTuple):
    """The machine's operations per second in a float32 matrix product, and bytes per second in a copy."""

    operations: float
    bytes: float


def ceilings(
    size: int = 2048, copied: int = 1 << 26, rounds: int = 7, precision: str = "highest"
) -> Ceilings:
    """Measure the limits of JAX's default device; the copy counts its reads and its writes."""
    rng = np.random.default_rng(0)
    square = jnp.asarray(rng.normal(size=(size, size)), jnp.float32)
    long = jnp.asarray(rng.normal(size=copied // FLOAT), jnp.float32)
    product = jax.jit(lambda a: jnp.matmul(a, a, precision=precision))
    copy = jax.jit(lambda a: a + 1)
    return Ceilings(
        2 * size**3 / _least_seconds(product, square, rounds), 2 * copied / _least_seconds(copy, long, rounds)
    )


def _least_seconds(function, argument, rounds: int) -> float:
    jax.block_until_ready(function(argument))
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(function(argument))
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def roofline_ms(work: Work, machine: Ceilings) -> float:
    """Compute the shortest time of a face in milliseconds, if operations and memory traffic overlap fully."""
    return 1e3 * max(work.performed / machine.operations, work.bytes / machine.bytes)
