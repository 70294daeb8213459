"""The ranking of a face's tries by their scores, between stages and at the end."""

from dataclasses import replace
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxclnf.config import FitConfig
from jaxclnf.fitting.early_termination import adjusted, keeps_shape, kept
from jaxclnf.fitting.tries import Tries, taken
from jaxclnf.types import PDM, EarlyTermination

T = TypeVar("T")


def scores(
    pdm: PDM, tries: Tries, config: FitConfig, votes: Float[Array, "n_images n_tries"] | float = 0.0
) -> Float[Array, "n_images n_tries"]:
    """Score tries by the log likelihood per landmark of their maps, parts and shapes; -inf if given up."""
    finite = jnp.isfinite(tries.params.shape).all(-1)
    shape = jnp.where(finite[..., None], tries.params.shape, 0)  # the derivatives at NaN would be NaN for all
    unlikely = jnp.sum(shape**2 / pdm.eigenvalues[None, None], -1) / (2 * pdm.n_points)
    score = tries.log_likelihood + votes - config.prior * unlikely
    return jnp.where(tries.too_small | ~finite | jnp.isnan(score), -jnp.inf, score)


def likeliest(tree: T, score: Float[Array, "n_images n_tries"], n_starts: int, n_kept: int) -> T:
    """Keep the ``n_kept`` highest scores of each ``n_starts`` tries in a row; ties keep their order."""
    _, best = jax.lax.top_k(score.reshape(-1, n_starts), n_kept)
    return taken(tree, best, n_starts)


def promising(
    pdm: PDM, early: EarlyTermination | None, tries: Tries, config: FitConfig, n_starts: int, n_kept: int
) -> Tries:
    """Keep the tries of each face that go on: the first good enough for ``early``, or else the likeliest."""
    if n_kept == n_starts:
        return tries
    score = scores(pdm, tries, config)
    if early is None:
        return likeliest(tries, score, n_starts, n_kept)
    comparable, enough = (a.reshape(-1, n_starts) for a in adjusted(early, score, tries.view))
    which = kept(comparable, enough, n_kept)
    tries = taken(tries, which, n_starts)
    if not config.as_openface2:
        return tries
    same = keeps_shape(which, enough).reshape(tries.view.shape)
    shape = jnp.where(same[..., None], tries.params.shape, 0)
    return tries._replace(params=replace(tries.params, shape=shape))
