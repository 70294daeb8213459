"""The circle that holds a landmark with a probability, against counted draws and the round case's formula."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclnf.ops.certainty import certain_radius


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_round_gaussian_has_the_rayleigh_radius(dtype: str, share: float) -> None:
    with jax.enable_x64(dtype == "float64"):
        radius = certain_radius(4 * jnp.eye(2, dtype=dtype), share)
        assert radius.dtype == dtype
        np.testing.assert_allclose(radius, 2 * np.sqrt(-2 * np.log(1 - share)), rtol=1e-5)


@pytest.mark.parametrize("ratio", [1.5, 4, 10])
def test_the_circle_holds_its_share_of_draws(ratio: float) -> None:
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    covariance = turn @ np.diag([ratio**2, 1]) @ turn.T
    draws = np.random.default_rng(0).multivariate_normal([0, 0], covariance, 200_000)
    radius = float(certain_radius(jnp.asarray(covariance, jnp.float32)))
    assert (np.linalg.norm(draws, axis=1) <= radius).mean() == pytest.approx(0.9, abs=0.003)


def test_what_is_not_known_has_no_radius() -> None:
    covariance = jnp.stack([jnp.eye(2), jnp.full((2, 2), jnp.nan)])
    assert np.isfinite(certain_radius(covariance)).tolist() == [True, False]
