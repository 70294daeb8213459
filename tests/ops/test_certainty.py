"""The circle that holds a landmark with a probability, against counted draws and the round case's formula."""

from __future__ import annotations

from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import f, multivariate_t, t

from jaxclnf.ops.certainty import FREEDOM, certain_radius, certain_square


@pytest.mark.parametrize(("dtype", "share"), [("float32", 0.9), ("float64", 0.5), ("float64", 0.99)])
def test_a_round_error_has_the_radius_of_fisher_s_distribution(dtype: str, share: float) -> None:
    """Half the squared distance of Student's t in the plane, by its scale, is distributed as F(2, 4)."""
    with jax.enable_x64(dtype == "float64"):
        radius = certain_radius(4 * jnp.eye(2, dtype=dtype), share)
        assert radius.dtype == dtype
        scale = 4 * (FREEDOM - 2) / FREEDOM
        np.testing.assert_allclose(radius, np.sqrt(scale * 2 * f.ppf(share, 2, FREEDOM)), rtol=1e-5)
        np.testing.assert_allclose(radius, 2 * np.sqrt(certain_square(share)), rtol=1e-5)


@pytest.mark.parametrize("ratio", [1.5, 4, 10])
def test_the_circle_holds_its_share_of_draws(ratio: float) -> None:
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    covariance = turn @ np.diag([ratio**2, 1]) @ turn.T
    draws = multivariate_t([0, 0], covariance * (FREEDOM - 2) / FREEDOM, FREEDOM).rvs(200_000, random_state=0)
    radius = float(certain_radius(jnp.asarray(covariance, jnp.float32)))
    assert (np.linalg.norm(draws, axis=1) <= radius).mean() == pytest.approx(0.9, abs=0.003)


def test_derivatives_are_those_of_the_radius() -> None:
    radius = jax.jit(lambda size, share: certain_radius(jnp.array([[size, 2], [2, 1]]), share))
    with jax.enable_x64(True):
        slopes = jax.jit(jax.grad(radius, (0, 1)))(9.0, 0.8)
        step = 1e-4
        by_size = radius(9.0 + step, 0.8) - radius(9.0 - step, 0.8)
        by_share = radius(9.0, 0.8 + step) - radius(9.0, 0.8 - step)
        np.testing.assert_allclose(slopes, np.array([by_size, by_share]) / (2 * step), rtol=1e-4)


def test_whole_numbers_are_covariances_too() -> None:
    of_floats = certain_radius(4 * jnp.eye(2))
    for covariance in (4 * jnp.eye(2, dtype=jnp.int32), np.diag([4, 4])):
        np.testing.assert_array_equal(certain_radius(covariance), of_floats)


@pytest.mark.parametrize("share", [0, 1.0, 90, np.nan, "0.9", None, 0.9 + 0j, np.array([0.5, 2])])
def test_a_share_that_is_no_probability_is_refused(share) -> None:
    with pytest.raises(ValueError, match=r"share = .*, expected a probability above 0 and below 1"):
        unwrap(certain_radius)(np.eye(2), share)  # without the tests' own checks of annotations


@pytest.mark.parametrize("narrow", [0.0, 1e-6])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_an_error_along_a_line_has_student_s_radius(share: float, narrow: float) -> None:
    """Also one that is nearly so, to which the lines' radius is the limit; whatever its direction."""
    scale = 2 * np.sqrt((FREEDOM - 2) / FREEDOM)
    for turn in (np.eye(2), np.array([[0.8, -0.6], [0.6, 0.8]])):
        covariance = turn @ np.diag([4, narrow]) @ turn.T
        radius = certain_radius(covariance.astype(np.float32), share)
        np.testing.assert_allclose(radius, scale * t(FREEDOM).ppf((1 + share) / 2), rtol=1e-5)
    slope = jax.jit(jax.grad(lambda size: certain_radius(jnp.diag(jnp.array([size, narrow])), share)))(4.0)
    np.testing.assert_allclose(slope, radius / 8, rtol=1e-4)  # it grows as the root


def test_a_fit_without_networks_has_no_covariances() -> None:
    with pytest.raises(ValueError, match="the covariance is None: only models with networks"):
        certain_radius(None)


def test_what_is_not_known_has_no_radius() -> None:
    covariance = jnp.stack([jnp.eye(2), jnp.full((2, 2), jnp.nan)])
    assert np.isfinite(certain_radius(covariance)).tolist() == [True, False]
