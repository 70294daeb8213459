"""Convolutional experts, layer by layer, against OpenFace 2's program on synthetic weights."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from shared_data import golden, shared

from jaxclnf.ops.cen import interpolation, layer, mirrored_response, response, windows

EXPERTS = ("scale0_view0_lm30", "scale0_view0_lm36")


def expert(landmark: int) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Weights, biases and activations of the frontal view's expert in the coarsest synthetic file."""
    data = shared("golden", "cen_synth", "patch_experts", "cen_patches_0.25_of.dat").read_bytes()
    at = 8

    def take(kind: str, count: int = 1) -> np.ndarray:
        nonlocal at
        values = np.frombuffer(data, kind, count, at)
        at += values.nbytes
        return values

    def matrix() -> np.ndarray:
        rows, cols, code = take("<i4", 3)
        return take({4: "<i4", 5: "<f4", 6: "<f8"}[int(code)], rows * cols).reshape(rows, cols)

    n_views = int(take("<i4")[0])
    for _ in range(2 * n_views + 2):  # centres, visibility, mirrors
        matrix()
    for _ in range(landmark + 1):
        n_layers = int(take("<i4", 4)[3])
        layers = [(int(take("<i4")[0]), matrix(), matrix()) for _ in range(n_layers)]
        take("<f8")
    activations, biases, weights = zip(*layers, strict=True)
    as_float = [[np.asarray(a, np.float32) for a in arrays] for arrays in (weights, biases)]
    return as_float[0], [b.ravel() for b in as_float[1]], np.array(activations, np.int32)


@pytest.mark.parametrize("name", EXPERTS)
def test_every_layer(name: str) -> None:
    arrays = golden("cen_golden", f"layers/{name}/")
    values = windows(jnp.asarray(arrays["aoi"]), 11)
    np.testing.assert_allclose(values, arrays["im2col"], atol=2e-6)
    weights, biases, activations = expert(int(name[-2:]))
    for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
        values = layer(values, jnp.asarray(w), jnp.asarray(b), jnp.asarray(activations[k]))
        np.testing.assert_allclose(values.T, arrays[f"after_layer{k}"], atol=5e-6)


@pytest.mark.parametrize("name", EXPERTS)
def test_response_maps(name: str) -> None:
    arrays = golden("cen_golden", f"layers/{name}/")
    weights, biases, activations = expert(int(name[-2:]))
    networks = tuple(map(jnp.asarray, weights)), tuple(map(jnp.asarray, biases)), jnp.asarray(activations)
    found = response(jnp.asarray(arrays["aoi"]), *networks, 11)
    np.testing.assert_allclose(found, arrays["sparse_response"], atol=5e-6)


def test_an_expert_in_a_mirror() -> None:
    """The map of a mirrored patch is the mirror image of the map."""
    patch = jnp.asarray(golden("cen_golden", "layers/scale0_view0_lm30/")["aoi"])
    weights, biases, activations = expert(30)
    networks = tuple(map(jnp.asarray, weights)), tuple(map(jnp.asarray, biases)), jnp.asarray(activations)
    plain = mirrored_response(patch, *networks, support=11, mirrored=jnp.array(False))
    turned = mirrored_response(patch[:, ::-1], *networks, support=11, mirrored=jnp.array(True))
    np.testing.assert_allclose(turned[:, ::-1], plain, atol=1e-6)


@pytest.mark.parametrize("window", [3, 5, 7, 9, 11])
def test_cells_between(window: int) -> None:
    expected = golden("cen_golden", "interpolation_matrix/")[f"w{window}"]
    np.testing.assert_allclose(interpolation(window), expected, atol=1e-7)
