"""The learned quantities of one scale's experts, and the experts that follow from them.

What is learned is kept near unit size, so that one learning rate serves all of it. Mirrored views share
their training: only the frontal view and the views of one side are learned; the frontal view is its own
mirror image, and the other side mirrors the first.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxclnf.pytrees import pytree
from jaxclnf.types import PatchExperts

STEEPNESS = 10.0  # unit of the neurons' steepness and bias


@pytree
class Neurons:
    """Experts of one scale as they are learned; leading axis: learned views, the frontal one first."""

    weights: Float[Array, "n_learned n_points n_neurons h w"]
    steepness: Float[Array, "n_learned n_points n_neurons"]
    bias: Float[Array, "n_learned n_points n_neurons"]
    log_alpha: Float[Array, "n_learned n_points n_neurons"]
    log_confidence: Float[Array, "n_learned n_points"]
    log_betas: Float[Array, " n_edges"]  # shared by all landmarks and views


def learned_yaws(yaws: tuple[float, ...], mirrored: bool) -> list[float]:
    """List the yaw of every view that is learned: with a mirror table those of one side, else of both."""
    return [0.0, *yaws] if mirrored else [0.0, *yaws, *(-y for y in yaws)]


def experts_of(
    neurons: Neurons,
    scale: float | Float[Array, ""],
    yaws: tuple[float, ...],
    mirror: tuple[int, ...] | None,
    window: int,
    learned_only: bool = False,
) -> PatchExperts:
    """Build the experts of the learned views, then (unless ``learned_only``) of their mirror images."""
    views = _per_landmark(neurons)
    centres = learned_yaws(yaws, mirror is not None)
    if mirror is not None:
        table = np.asarray(mirror)
        views = _symmetric(views, table)
        if not learned_only:
            other = _mirrored({k: v[1:] for k, v in views.items()}, table)
            views = {k: jnp.concatenate([v, other[k]]) for k, v in views.items()}
            centres = [*centres, *(-y for y in yaws)]
    dtype = neurons.weights.dtype
    each = views["patch_confidence"].shape
    angles = np.stack([np.zeros(len(centres)), np.radians(centres), np.zeros(len(centres))], axis=1)
    betas = jnp.exp(neurons.log_betas)
    edges = {window: jnp.asarray(edge_terms(window), dtype)} if len(betas) else {}
    return PatchExperts(
        patch_scale=jnp.asarray(scale, dtype),
        view_centres=jnp.asarray(angles, dtype),
        visibility=jnp.ones(each, bool),
        betas=jnp.broadcast_to(betas, (*each, len(betas))),
        edges=edges,
        sigma={w: field_covariance(betas, terms)[None] for w, terms in edges.items()},
        sigma_index=jnp.zeros(each, jnp.int32),
        **views,
    )


def yaws_of(experts: PatchExperts) -> tuple[float, ...]:
    """Give the yaws to one side (degrees) of the views of experts that `experts_of` made."""
    angles = np.degrees(np.asarray(experts.view_centres)[:, 1])
    return tuple(float(angle) for angle in angles[1 : 1 + len(angles) // 2])


def neurons_of(experts: PatchExperts, mirror: tuple[int, ...] | None) -> Neurons:
    """Give the learned quantities from which `experts_of` makes these experts.

    Raises ValueError for experts that it has not made: whose landmarks have random fields of their own.
    """
    betas = np.asarray(experts.betas)
    if np.ptp(betas, axis=(0, 1)).any() or abs(np.asarray(experts.alpha).sum(-1) - 1).max() > 1e-3:
        raise ValueError("only patch experts that `jaxclnf train` has made can learn further")
    n_learned = len(learned_yaws(yaws_of(experts), mirror is not None))
    weights, steepness, bias, alpha, confidence = (
        jnp.asarray(array[:n_learned])
        for array in (
            experts.weights,
            experts.norm_weights,
            experts.bias,
            experts.alpha,
            experts.patch_confidence,
        )
    )
    return Neurons(
        weights=weights,
        steepness=steepness / STEEPNESS,
        bias=bias / STEEPNESS,
        log_alpha=jnp.log(jnp.maximum(alpha, 1e-9)),
        log_confidence=jnp.log(confidence),
        log_betas=jnp.log(jnp.asarray(betas[0, 0])),
    )


def field_covariance(
    betas: Float[Array, " n_edges"], terms: Float[Array, "n_edges area area"]
) -> Float[Array, "area area"]:
    """Compute Sigma of the random field whose alphas sum to 1."""
    precision = 2 * (jnp.eye(terms.shape[-1], dtype=terms.dtype) + jnp.tensordot(betas, terms, 1))
    return jnp.linalg.inv(precision)


def edge_terms(window: int) -> Float[np.ndarray, "n_edges area area"]:
    """Compute the precision of the edge terms between the pixels of a window.

    The first asks neighbours (eight of them) to be alike, sum (y_i - y_j)^2; the second asks pixels four
    to six steps apart not to respond together, sum (y_i + y_j)^2. Source: Baltrušaitis, Robinson &
    Morency 2014, section 3.
    """
    row, col = np.divmod(np.arange(window**2), window)
    steps = np.maximum(abs(row[:, None] - row), abs(col[:, None] - col))
    near, apart = (steps == 1).astype(np.float64), ((steps >= 4) & (steps <= 6)).astype(np.float64)
    return np.stack([np.diag(near.sum(1)) - near, np.diag(apart.sum(1)) + apart])


def _per_landmark(neurons: Neurons) -> dict[str, Array]:
    return {
        "weights": neurons.weights,
        "norm_weights": STEEPNESS * neurons.steepness,
        "bias": STEEPNESS * neurons.bias,
        "alpha": jax.nn.softmax(neurons.log_alpha, axis=-1),
        "patch_confidence": jnp.exp(neurons.log_confidence),
    }


def _mirrored(views: dict[str, Array], mirror: np.ndarray) -> dict[str, Array]:
    """Mirror the views."""
    swapped = {k: v[:, mirror] for k, v in views.items()}
    return swapped | {"weights": swapped["weights"][..., ::-1]}


def _symmetric(views: dict[str, Array], mirror: np.ndarray) -> dict[str, Array]:
    """Make the frontal view symmetric: the first landmark of each pair is learned for both."""
    frontal = {k: v[:1] for k, v in views.items()}
    second = np.arange(len(mirror)) > mirror
    image = _mirrored(frontal, mirror)

    def merge(own, mirrored, whole):
        keep = second.reshape(1, -1, *(1,) * (own.ndim - 2))
        return jnp.concatenate([jnp.where(keep, mirrored, own), whole[1:]])

    return {k: merge(frontal[k], image[k], views[k]) for k in views}
