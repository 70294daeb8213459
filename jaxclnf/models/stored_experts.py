"""Kinds of experts and their form in a file: a scale's arrays, by the names of its class's fields.

A new kind is a class whose annotations say shapes and types, a function that builds it, and a row of `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxclnf.models.checked_arrays import checked_fields, finite
from jaxclnf.models.memory_budget import Budget
from jaxclnf.models.sigma import MAX_WINDOW, smoothing_matrices
from jaxclnf.models.stored_networks import build_networks
from jaxclnf.types import CENExperts, ConvExperts, PatchExperts

Tree = dict[str, Any]
"""Arrays by field; a field that is a dictionary has its arrays by key."""

MAX_SUPPORT = 63  # pixels of a neuron's side
MIN_SCALE, MAX_SCALE = 1e-3, 1e3  # pixels per model unit
_DERIVED = ("sigma", "sigma_index")


class Kind(NamedTuple):
    """A kind of experts, and how to build a scale of them from a file's arrays.

    ``build`` takes the arrays, the number of landmarks, the floating-point dtype and the memory that is left;
    it raises ValueError if the arrays are not experts of this kind.
    """

    cls: type
    build: Callable[[Tree, int, np.dtype, Budget], Any]
    derived: tuple[str, ...] = ()  # fields that are computed anew and not stored


def _build_ccnf(tree: Tree, n_points: int, dtype: np.dtype, budget: Budget) -> PatchExperts:
    without = ("edges", *_DERIVED)
    arrays = checked_fields(PatchExperts, "experts", tree, {"n_points": n_points}, dtype, budget, without)
    n_edges = arrays["betas"].shape[-1]
    given = tree.get("edges", {}).items()
    edges = {int(key): _edges(key, components, n_edges, dtype, budget) for key, components in given}
    arrays["edges"] = edges if n_edges else {}
    check_ccnf(arrays)
    terms = arrays["alpha"], arrays["betas"], arrays["visibility"], arrays["edges"]
    arrays["sigma"], arrays["sigma_index"] = smoothing_matrices(*terms, budget)
    return PatchExperts(**arrays)


def _edges(key: str, components: np.ndarray, n_edges: int, dtype: np.dtype, budget: Budget) -> np.ndarray:
    """Check the edge components of a window, whose size is the key."""
    if not (key.isascii() and key.isdecimal() and len(key) < 6 and 1 <= int(key) <= MAX_WINDOW):
        raise ValueError(f"edges of window {key[:20]!r}, expected windows of 1 to {MAX_WINDOW} pixels")
    if components.shape != (n_edges, int(key) ** 2, int(key) ** 2):
        raise ValueError(f"edges of window {key} have shape {components.shape}")
    return finite(f"edges of window {key}", components, dtype, budget)


def check_ccnf(arrays: Mapping[str, Any]) -> None:
    """Raise ValueError for arrays of `PatchExperts` that have the right shapes but that no fit can use."""
    scale, support = float(arrays["patch_scale"]), arrays["weights"].shape[-2:]
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise ValueError(f"patch_scale is {scale:g}, expected {MIN_SCALE:g} to {MAX_SCALE:g}")
    if not 1 <= min(support) <= max(support) <= MAX_SUPPORT:
        raise ValueError(f"neurons of {support} pixels, expected 1 to {MAX_SUPPORT} a side")
    strengths = arrays["alpha"].sum(-1)[arrays["visibility"]]
    if strengths.size == 0 or not strengths.min() > 0:
        raise ValueError("a visible landmark has no neurons of alpha above 0, or none is visible")


KINDS = {
    "ccnf": Kind(PatchExperts, _build_ccnf, _DERIVED),
    "conv": Kind(ConvExperts, build_networks),
}


def kind_of(experts: Any) -> str:
    """Name the kind of a scale's experts."""
    for name, kind in KINDS.items():
        if isinstance(experts, kind.cls):
            return name
    if isinstance(experts, CENExperts):
        raise ValueError(
            "OpenFace's CEN experts are not stored a second time, 400 MB of them: open their own "
            "files in seconds, with --model or convert_openface"
        )
    raise ValueError(f"experts of {type(experts).__name__} cannot be stored, expected {', '.join(KINDS)}")
