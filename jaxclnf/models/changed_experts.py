"""Experts that a program has changed: their smoothing matrices computed anew, and old ones noticed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxclnf.fitting.full_precision import in_full_precision
from jaxclnf.models.sigma import smoothing_matrices
from jaxclnf.pytrees import no_tracers
from jaxclnf.types import CENExperts, ConvExperts, Experts, Model, PatchExperts

Changed = TypeVar("Changed", bound=Model | Experts | ConvExperts)

_STALE = 1e-3
"""Share by which smoothing matrices may miss their inverses; rounding to float32 makes them miss 1e-7."""


def with_sigma(experts: Changed) -> Changed:
    """Compute the smoothing matrices of a scale's experts, or of a whole model's and its parts', anew.

    They follow from ``alpha``, ``betas`` and ``edges``, and fits use `PatchExperts.sigma` as it is: call this
    where you replace one of those, as in ``with_sigma(replace(experts, betas=2 * experts.betas))``. Experts
    without a random field are returned unchanged. Within `jax.grad` and `jax.jit` each landmark of a view has
    its own matrix, in the experts' precision, that can be differentiated. Raises ValueError as
    `jaxclnf.models.sigma.smoothing_matrices`.
    """
    if isinstance(experts, Model):
        parts = tuple(replace(part, model=with_sigma(part.model)) for part in experts.parts)
        return replace(experts, experts=tuple(map(with_sigma, experts.experts)), parts=parts)
    if not isinstance(experts, PatchExperts | CENExperts | ConvExperts):
        found = type(experts).__name__
        raise ValueError(f"expected a model or the experts of one scale, as model.experts[0]; got {found}")
    if not isinstance(experts, PatchExperts) or not experts.edges:
        return experts
    terms = experts.alpha, experts.betas, experts.visibility, experts.edges
    if not no_tracers(terms):
        index = jnp.arange(experts.visibility.size, dtype=jnp.int32).reshape(experts.visibility.shape)
        return replace(experts, sigma=_of_each(experts), sigma_index=index)
    sigma, index = smoothing_matrices(*jax.tree.map(np.asarray, terms))
    return replace(experts, sigma=jax.tree.map(jnp.asarray, sigma), sigma_index=jnp.asarray(index))


@in_full_precision
def _of_each(experts: PatchExperts) -> dict[int, Float[Array, "n area area"]]:
    """Invert the matrix of every view's landmark; those of invisible ones are of no meaning."""
    strength = jnp.where(experts.visibility, experts.alpha.sum(-1), 1).ravel()
    betas = jnp.where(experts.visibility[..., None], experts.betas, 0).reshape(len(strength), -1)

    def inverses(edges: Float[Array, "n_edges area area"]) -> Float[Array, "n area area"]:
        eye = jnp.eye(edges.shape[-1], dtype=strength.dtype)
        return jnp.linalg.inv(2 * (strength[:, None, None] * eye[None] + jnp.tensordot(betas, edges, 1)))

    return {window: inverses(edges) for window, edges in experts.edges.items()}


def check_sigma(model: Model) -> None:
    """Raise ValueError for a model, or a part of it, with experts whose smoothing matrices are old ones."""
    for of_model, experts in _patch_experts(model):
        if any(_miss(experts, window) > _STALE for window in experts.edges):
            raise ValueError(
                f"experts of {of_model} have other alpha, betas or edges than their smoothing matrices, "
                "which follow from these: call jaxclnf.with_sigma on experts that you change"
            )


def _patch_experts(model: Model, name: str = "the model") -> Iterator[tuple[str, PatchExperts]]:
    yield from ((name, experts) for experts in model.experts if isinstance(experts, PatchExperts))
    for part in model.parts:
        yield from _patch_experts(part.model, f"the part {part.name}")


def _miss(experts: PatchExperts, window: int) -> float:
    """Measure how far a window's matrices are from inverses, by what they make of one map."""
    seen = np.asarray(experts.visibility)
    strength = np.asarray(experts.alpha, np.float64).sum(-1)[seen]
    edges, one_map = np.asarray(experts.edges[window], np.float64), np.cos(np.arange(window**2))
    field = 2 * (
        strength[:, None] * one_map + np.asarray(experts.betas, np.float64)[seen] @ (edges @ one_map)
    )
    index, sigma = np.asarray(experts.sigma_index)[seen], np.asarray(experts.sigma[window])
    back = [sigma[i] @ row for i, row in zip(index, field, strict=True)]
    return float(np.abs(np.array(back) - one_map).max(initial=0))
