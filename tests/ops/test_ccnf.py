from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import assert_close
from shared_data import golden

from jaxclnf.ops.ccnf import lift, neuron_responses, normalised_correlation, smooth

NCC = {np.float64: 1e-6, np.float32: 2e-5}
"""OpenFace stores float32; in float32 the variance of a dull window loses digits."""
MAPS = {np.float64: 2e-6, np.float32: 1e-4}
"""Of the largest entry: the logistic is up to ten times steeper than its argument."""

correlate = jax.jit(normalised_correlation)
respond = jax.jit(neuron_responses)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


class TestOpenFace:
    """Neuron by neuron on nine landmarks of sample1."""

    def test_neurons_and_field(self, dtype) -> None:
        places = {key.split("/")[0] for key in golden("response_golden", "neurons/")}
        assert len(places) == 9
        for place in sorted(places):
            arrays = golden("response_golden", f"neurons/{place}/")
            scale, point = re.findall(r"scale(\d)_lm(\d+)", place)[0]
            expert = golden("response_golden", f"experts/main68/scale{scale}_view0_lm{point}/")
            self.check(arrays, expert, dtype)

    def check(self, arrays, expert, dtype) -> None:
        n = len(expert["alpha"])
        weights = np.stack([expert[f"neuron{k}_weights"] for k in range(n)])
        patch, weights = (jnp.asarray(a, dtype)[None] for a in (arrays["aoi"], weights))
        found = correlate(patch, weights)[0]
        for k in [k for k in range(n) if f"neuron{k}_ncc" in arrays]:
            np.testing.assert_allclose(found[k], arrays[f"neuron{k}_ncc"], atol=NCC[dtype])
        neuron = [jnp.asarray(expert[name], dtype)[None] for name in ("norm_weights", "bias", "alpha")]
        total = respond(patch, weights, *neuron)
        assert_close(total[0], arrays["neuron_sum"], MAPS[dtype])
        window = total.shape[-1]
        sigma = jnp.asarray(expert[f"Sigma_ws{window}"], dtype)[None]
        assert_close(smooth(total, sigma)[0], arrays["final_response"], MAPS[dtype])


@pytest.mark.parametrize("shape", [(7, 7), (3, 5)])
def test_correlation_is_that_of_a_loop(shape, rng, dtype) -> None:
    """Square patches, and neurons that need not be."""
    patches, weights = rng.uniform(0, 255, (3, 12, 12)), rng.normal(size=(3, 2, *shape))
    h, w = shape
    expected = np.zeros((3, 2, 13 - h, 13 - w))
    for n, k, r, c in np.ndindex(expected.shape):
        window = patches[n, r : r + h, c : c + w]
        expected[n, k, r, c] = np.corrcoef(window.ravel(), weights[n, k].ravel())[0, 1]
    found = correlate(jnp.asarray(patches, dtype), jnp.asarray(weights, dtype))
    np.testing.assert_allclose(found, expected, atol=1e-12 if dtype == np.float64 else NCC[dtype])


def test_correlation_ignores_brightness_and_contrast(rng, dtype) -> None:
    patches, weights = rng.uniform(0, 100, (2, 12, 12)), jnp.asarray(rng.normal(size=(2, 3, 7, 7)), dtype)
    found = [correlate(jnp.asarray(p, dtype), weights) for p in (patches, 1.5 * patches + 90)]
    np.testing.assert_allclose(found[0], found[1], atol=NCC[dtype])


@pytest.mark.parametrize("level", [0.0, 117.0, 255.0, 1e-3])
def test_flat_windows_give_zero(level: float, rng, dtype) -> None:
    weights = jnp.asarray(rng.normal(size=(1, 2, 5, 5)), dtype)
    np.testing.assert_array_equal(
        correlate(jnp.full((1, 9, 9), level, dtype), weights), np.zeros((1, 2, 5, 5))
    )
    half = np.full((1, 13, 13), level)
    half[0, :, 9:] = rng.uniform(0, 255, (13, 4))
    found = correlate(jnp.asarray(half, dtype), weights)
    np.testing.assert_array_equal(found[..., :5], np.zeros((1, 2, 9, 5)))
    assert (np.abs(found[..., 5:]) > 1e-3).any(axis=(0, 1, 2)).all()


def test_a_window_that_equals_the_neuron_gives_one(rng, dtype) -> None:
    weights = rng.normal(size=(1, 1, 5, 5))
    patch = rng.uniform(0, 255, (1, 9, 9))
    patch[0, 2:7, 1:6] = 100 + 20 * weights[0, 0]
    found = correlate(jnp.asarray(patch, dtype), jnp.asarray(weights, dtype))[0, 0]
    assert np.argmax(found) == 2 * 5 + 1
    np.testing.assert_allclose(found[2, 1], 1, atol=NCC[dtype])


def test_responses_are_the_neurons_logistic_sum(rng, dtype) -> None:
    """A neuron of too small an alpha is left out."""
    patches, weights = rng.uniform(0, 255, (2, 9, 9)), rng.normal(size=(2, 3, 5, 5))
    steepness, bias = rng.uniform(1, 10, (2, 3)), rng.normal(size=(2, 3))
    alpha = np.array([[1.0, 0.5, 0.99e-4], [2.0, 1.01e-4, 0]])
    ncc = np.asarray(correlate(jnp.asarray(patches, dtype), jnp.asarray(weights, dtype)), np.float64)
    activation = 2 / (1 + np.exp(-(steepness[..., None, None] * ncc + bias[..., None, None])))
    expected = np.einsum("nk,nkrc->nrc", np.where(alpha > 1e-4, alpha, 0), activation)
    found = respond(*(jnp.asarray(a, dtype) for a in (patches, weights, steepness, bias, alpha)))
    assert_close(found, expected, MAPS[dtype])


def test_smoothing_is_a_product_of_row_major_maps(rng, dtype) -> None:
    maps, sigma = rng.uniform(0, 1, (2, 3, 3)), rng.normal(size=(2, 9, 9))
    sigma += sigma.transpose(0, 2, 1)
    expected = np.einsum("nij,nj->ni", sigma, maps.reshape(2, 9)).reshape(2, 3, 3)
    expected -= np.minimum(expected.min((1, 2), keepdims=True), 0)
    assert_close(smooth(jnp.asarray(maps, dtype), jnp.asarray(sigma, dtype)), expected, MAPS[dtype])


def test_lift_touches_only_maps_with_negative_values(dtype) -> None:
    maps = jnp.asarray([[[1.0, 2], [3, 4]], [[-1, 2], [3, 4]]], dtype)
    np.testing.assert_array_equal(lift(maps), [[[1, 2], [3, 4]], [[0, 3], [4, 5]]])
