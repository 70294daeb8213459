"""Experts that a program changes have the smoothing matrices that follow, in fits, files and derivatives."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import synthetic_model

from jaxclnf import load_model, save_model, with_sigma
from jaxclnf.types import Model, PatchExperts


def patch_experts() -> PatchExperts:
    experts = synthetic_model(np.float32).experts[0]
    assert isinstance(experts, PatchExperts)
    return experts


def changed(model: Model, factor: float) -> Model:
    experts = [e for e in model.experts if isinstance(e, PatchExperts)]
    return replace(model, experts=tuple(replace(e, betas=factor * e.betas) for e in experts))


def test_changed_experts_are_what_they_are_after_saving_and_loading(tmp_path) -> None:
    stale = changed(synthetic_model(np.float32), 5)
    with pytest.raises(ValueError, match=r"experts of the model have other .*: call jaxclnf.with_sigma on"):
        save_model(stale, tmp_path / "model.npz")
    anew = with_sigma(stale)
    save_model(anew, tmp_path / "model.npz")
    loaded = load_model(tmp_path / "model.npz")
    jax.tree.map(np.testing.assert_array_equal, loaded.experts, anew.experts)
    assert isinstance(anew.experts[0], PatchExperts)
    (before, *_), (after, *_) = ([*e.sigma.values()] for e in (patch_experts(), anew.experts[0]))
    assert np.abs(after[0] - before[0]).max() > 1e-3


def test_the_derivative_by_betas_is_that_of_differences() -> None:
    experts = patch_experts()
    window = next(iter(experts.edges))
    one_map = np.cos(np.arange(window**2)).astype(np.float32)

    def smoothed(factor):
        told = with_sigma(replace(experts, betas=factor * jnp.asarray(experts.betas)))
        return jnp.square(told.sigma[window][told.sigma_index[0]] @ one_map).sum()

    value, slope = jax.value_and_grad(smoothed)(1.0)
    np.testing.assert_allclose(value, smoothed(1.0), rtol=1e-4)
    np.testing.assert_allclose(slope, (smoothed(1.05) - smoothed(0.95)) / 0.1, rtol=0.01)
    assert abs(slope) > 1e-3


def test_experts_without_a_random_field_stay_as_they_are() -> None:
    network = load_model().experts[-1]
    assert with_sigma(network) is network
