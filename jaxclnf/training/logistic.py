"""Logistic regression: the likeliest curve from signs to a probability."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from jaxclnf.models.calibration import probability


def likeliest_curve(
    signs: Float[np.ndarray, "n n_signs"],
    shares: Float[np.ndarray, " n"] | Bool[np.ndarray, " n"],
    usual: Float[np.ndarray, " n_signs"],
    pull: float = 0.0,
    bias: float = 0.0,
) -> tuple[Float[np.ndarray, " n_signs"], float]:
    """Find the slopes and the bias of the logarithm of the odds that make ``shares``, from 0 to 1, likeliest.

    The search begins at the ``usual`` slopes and at ``bias``; ``pull`` is the inverse variance of a normal
    prior that holds the slopes there.
    """
    from scipy.optimize import minimize

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        odds = signs @ values[:-1] + values[-1]
        away = values[:-1] - usual
        unlikely = np.sum(shares * np.logaddexp(0, -odds) + (1 - shares) * np.logaddexp(0, odds))
        off = probability(odds) - shares
        gradient = np.append(signs.T @ off + pull * away, off.sum())
        return float(unlikely + pull * away @ away / 2), gradient

    best = minimize(loss, np.append(usual, bias), jac=True, method="L-BFGS-B").x
    return best[:-1], float(best[-1])
