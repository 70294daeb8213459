"""Smoothing matrices are the inverses they claim to be."""

from __future__ import annotations

import numpy as np
import pytest

from jaxclnf.models.memory_budget import Budget
from jaxclnf.models.sigma import smoothing_matrices


def neighbours(window: int) -> np.ndarray:
    """One component that ties each cell to its four neighbours, (1, area, area)."""
    rows, cols = np.divmod(np.arange(window**2), window)
    ties = abs(rows[:, None] - rows) + abs(cols[:, None] - cols) == 1
    return (np.diag(ties.sum(1)) - ties)[None].astype(float)


@pytest.mark.releases
@pytest.mark.parametrize("window", [1, 2, 3, 4, 7])
def test_matrices_are_inverses(window: int) -> None:
    rng = np.random.default_rng(window)
    alpha, betas = rng.uniform(0, 5, (2, 20, 3)), rng.uniform(0, 9, (2, 20, 1))
    visible, edges = rng.uniform(size=(2, 20)) < 0.7, neighbours(window)
    sigma, index = smoothing_matrices(alpha, betas, visible, {window: edges})
    for place in zip(*np.nonzero(visible), strict=True):
        field = 2 * (alpha[place].sum() * np.eye(window**2) + betas[place][0] * edges[0])
        np.testing.assert_allclose(sigma[window][index[place]] @ field, np.eye(window**2), atol=1e-12)
    assert len(sigma[window]) == visible.sum()


def test_equal_landmarks_share_a_matrix_and_invisible_ones_have_none() -> None:
    alpha, betas = np.array([[[1.0, 2.0], [3.0, 0.0], [1.0, 1.0], [9.0, 9.0]]]), np.ones((1, 4, 1))
    visible = np.array([[True, True, True, False]])
    sigma, index = smoothing_matrices(alpha, betas, visible, {3: neighbours(3)})
    assert sigma[3].shape == (2, 9, 9)
    assert index[0, 0] == index[0, 1] != index[0, 2]


def test_precision_is_that_of_alpha_and_the_work_is_done_in_float64() -> None:
    alpha, betas = np.array([[[0.1]]], np.float32), np.array([[[7.0]]], np.float32)
    visible, edges = np.ones((1, 1), bool), {5: neighbours(5)}
    sigma, _ = smoothing_matrices(alpha, betas, visible, edges)
    exact, _ = smoothing_matrices(alpha.astype(float), betas.astype(float), visible, edges)
    np.testing.assert_array_equal(sigma[5], exact[5].astype(np.float32), strict=True)


@pytest.mark.parametrize("entry", [(0, 0, 1), (0, 0, 8), (0, 4, 4)])
def test_components_without_the_windows_symmetry_are_refused(entry: tuple[int, int, int]) -> None:
    edges = neighbours(3)
    edges[entry] += 1
    if entry == (0, 4, 4):
        edges[0, 0, 0] += 1
    with pytest.raises(ValueError, match="window 3: the edge components are not symmetric"):
        smoothing_matrices(np.ones((1, 1, 1)), np.ones((1, 1, 1)), np.ones((1, 1), bool), {3: edges})


def test_fields_without_an_inverse_are_refused() -> None:
    with pytest.raises(ValueError, match="no positive definite matrix"):
        smoothing_matrices(
            np.ones((1, 1, 1)), np.full((1, 1, 1), -9.0), np.ones((1, 1), bool), {3: neighbours(3)}
        )


def test_more_matrices_than_memory_are_refused() -> None:
    alpha = np.arange(1.0, 1001)[None, :, None]
    with pytest.raises(ValueError, match="1000 smoothing matrices of 961 rows would take"):
        smoothing_matrices(
            alpha, np.ones((1, 1000, 1)), np.ones((1, 1000), bool), {31: neighbours(31)}, Budget()
        )
