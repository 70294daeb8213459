from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import assert_close
from shared_data import golden

from jaxclnf.ops.mean_shift import likelihoods, mean_shift

ROUNDING = {np.float64: 1e-12, np.float32: 1e-5}
"""Of a map's size in pixels."""

shift = jax.jit(mean_shift, static_argnames="kernel")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def brute_force(maps, positions, centres, sigma) -> np.ndarray:
    rows, cols = np.mgrid[: maps.shape[1], : maps.shape[2]]
    shifts = []
    for each, position, (x, y) in zip(maps, positions, centres, strict=True):
        mass = each * np.exp(-((cols - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
        shifts.append(np.array([(mass * cols).sum(), (mass * rows).sum()]) / mass.sum() - position)
    return np.array(shifts)


@pytest.mark.parametrize("window", [9, 7])
def test_grid_kernel_is_openfaces_table(window: int, dtype) -> None:
    """The table of the kernel centred on every tenth of a pixel, met through maps of a single pixel.

    A map's likelihood at a place is there the kernel itself; OpenFace tabulates float32.
    """
    table = golden("fit_trace_golden", "sample1/default_init/")[f"kde_precalc_ws{window}"]
    sigma = golden("fit_trace_golden", f"sample1/default_init/scale{(11 - window) // 2}/")["params"][1]
    ticks = np.arange(10 * window) / 10
    centres = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)
    pixels = jnp.eye(window**2, dtype=dtype).reshape(-1, window, window)

    def kernel(centre):
        return likelihoods(pixels, jnp.broadcast_to(centre, (window**2, 2)), jnp.asarray(sigma, dtype))

    found = jax.jit(jax.vmap(kernel))(jnp.asarray(centres, dtype))
    np.testing.assert_allclose(found, table, atol=1e-6)


@pytest.mark.parametrize("kernel", ["exact", "grid"])
def test_it_is_the_kernels_weighted_mean(kernel: str, rng, dtype) -> None:
    """Against a loop; positions beyond the map are first put onto it."""
    maps, positions = rng.uniform(0, 1, (20, 7, 7)), rng.uniform(-2, 9, (20, 2))
    clamped = positions.clip(0, 6.9)
    centres = np.floor(clamped / 0.1 + 0.5) * 0.1 if kernel == "grid" else clamped
    expected = brute_force(maps, clamped, centres, 1.5)
    args = (jnp.asarray(maps, dtype), jnp.asarray(positions, dtype), jnp.asarray(1.5, dtype))
    assert_close(shift(*args, kernel=kernel), expected, 10 * ROUNDING[dtype])


def test_grid_and_exact_kernel_differ_by_less_than_the_grids_step(rng, dtype) -> None:
    maps, positions = rng.uniform(0, 1, (200, 9, 9)), rng.uniform(0, 8.9, (200, 2))
    args = (jnp.asarray(maps, dtype), jnp.asarray(positions, dtype), jnp.asarray(1.5, dtype))
    difference = np.abs(shift(*args, kernel="grid") - shift(*args, kernel="exact")).max()
    assert 1e-4 < difference < 0.1


@pytest.mark.parametrize("offset", [(3, 0), (0, -2), (-1, 3)])
def test_a_peak_attracts_from_the_centre(offset, dtype) -> None:
    """All of the way at once when nothing else stands on the map: x is the column, y the row."""
    peak = np.zeros((1, 11, 11))
    peak[0, 5 + offset[1], 5 + offset[0]] = 1
    found = shift(jnp.asarray(peak, dtype), jnp.full((1, 2), 5, dtype), jnp.asarray(1.5, dtype))
    np.testing.assert_allclose(found[0], offset, atol=ROUNDING[dtype])


def test_repeated_shifts_climb_to_a_broad_peak(dtype) -> None:
    rows, cols = np.mgrid[:11, :11]
    hill = np.exp(-((cols - 8) ** 2 + (rows - 5) ** 2) / 8)[None]
    position = jnp.full((1, 2), 5, dtype)
    for _ in range(30):
        position += shift(jnp.asarray(hill, dtype), position, jnp.asarray(1.0, dtype))
    np.testing.assert_allclose(position[0], [8, 5], atol=0.1)


def test_an_empty_map_moves_nothing(dtype) -> None:
    args = (jnp.zeros((1, 7, 7), dtype), jnp.full((1, 2), 2.5, dtype), jnp.asarray(1.5, dtype))
    np.testing.assert_array_equal(shift(*args), np.zeros((1, 2)))
    derivative = jax.grad(lambda p: shift(args[0], p, args[2]).sum())(args[1])
    np.testing.assert_array_equal(derivative, np.zeros((1, 2)))


def test_likelihood_is_the_kernel_sum_at_the_place_itself(rng, dtype) -> None:
    """Not clamped to the map."""
    maps, positions = rng.uniform(0, 1, (20, 7, 7)), rng.uniform(-2, 9, (20, 2))
    rows, cols = np.mgrid[:7, :7]
    squares = (cols - positions[:, 0, None, None]) ** 2 + (rows - positions[:, 1, None, None]) ** 2
    expected = (maps * np.exp(-squares / (2 * 1.25**2))).sum((1, 2))
    args = (jnp.asarray(maps, dtype), jnp.asarray(positions, dtype), jnp.asarray(1.25, dtype))
    assert_close(likelihoods(*args), expected, ROUNDING[dtype])
