"""A model built from the arrays and the header of its file, neither of which is trusted.

Errors of any kind that is among `DAMAGE` mean that they are not those of a model.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxclnf.config import FitConfig
from jaxclnf.models.calibration import SIGNS, by_likelihood
from jaxclnf.models.checked_arrays import checked_fields, finite
from jaxclnf.models.memory_budget import Budget
from jaxclnf.models.stored_experts import KINDS
from jaxclnf.types import (
    PDM,
    Calibration,
    ConvExperts,
    EarlyTermination,
    Model,
    Part,
    Provenance,
    Visibility,
)

DIGEST_BYTES = 8
"""Bytes of a photo's digest among those that a model learned from."""

TEXTS = ("name", "source", "licence")
"""Texts of a provenance."""

DAMAGE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, MemoryError)
"""Errors raised by a header or arrays that are not those of a model."""

_CURVE = ("centre", "slope")


def _nest(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Build nested dictionaries from names with slashes."""
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *folders, leaf = name.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[leaf] = array
    return tree


def build_model(
    arrays: dict[str, np.ndarray], header: dict[str, Any], dtype: np.dtype, budget: Budget
) -> Model:
    """Build a model of arrays by their places in it (``experts/0/alpha``), taking memory from ``budget``."""
    return _build_model(_nest(arrays), header, dtype, budget)


def _build_model(tree: dict[str, Any], header: dict[str, Any], dtype: np.dtype, budget: Budget) -> Model:
    pdm = PDM(**checked_fields(PDM, "pdm", tree["pdm"], {}, dtype, budget))
    if not (pdm.eigenvalues > 0).all():
        raise ValueError("an eigenvalue is not above 0")
    scales = tree.get("experts", {})
    kinds = header.get("experts") or ["ccnf"] * len(scales)  # older files, all of CCNF experts, name no kind
    if len(kinds) != len(scales) or not all(kind in KINDS for kind in kinds):
        raise ValueError(
            f"experts {kinds!r:.80}, expected one of {', '.join(KINDS)} for each of {len(scales)}"
        )
    experts = [KINDS[k].build(scales[str(i)], pdm.n_points, dtype, budget) for i, k in enumerate(kinds)]
    parts = [
        _build_part(tree["parts"][str(i)]["model"], part, pdm.n_points, dtype, budget)
        for i, part in enumerate(header["parts"])
    ]
    calibration = _build_calibration(tree["calibration"], dtype) if "calibration" in tree else None
    settings = FitConfig.from_description(header.get("settings", {}))
    visibility = _build_visibility(tree["visibility"], pdm.n_points, dtype) if "visibility" in tree else None
    early = _build_early(tree["early_termination"], experts, dtype) if "early_termination" in tree else None
    provenance = _build_provenance(tree, header)
    return Model(
        pdm, tuple(experts), tuple(parts), provenance, settings, calibration, early, visibility=visibility
    )


def _build_part(
    tree: dict[str, Any], header: dict[str, Any], n_points: int, dtype: np.dtype, budget: Budget
) -> Part:
    if header["parts"]:
        raise ValueError("a part of the face has parts of its own")
    model = _build_model(tree, header, dtype, budget)
    main, own = tuple(header["main_points"]), tuple(header["part_points"])
    if len(main) != len(own) or not (_within(main, n_points) and _within(own, model.pdm.n_points)):
        raise ValueError(f"part {header['name']!r:.40}: its landmarks and the whole's do not fit the models")
    return Part(_text(header["name"]), main, own, model)


def _within(points: tuple[Any, ...], n_points: int) -> bool:
    """Tell whether these are different landmarks of so many."""
    return len(set(points)) == len(points) and all(type(p) is int and 0 <= p < n_points for p in points)


def _build_calibration(tree: dict[str, Any], dtype: np.dtype) -> Calibration:
    if "slope" in tree:  # a calibration by the likelihood alone, from before version 3
        centre, slope = (finite(f"calibration/{key}", tree[key], dtype, Budget()) for key in _CURVE)
        if not (slope.shape == () and slope > 0 and centre.shape == ()):
            raise ValueError(f"calibration/slope is {slope!r:.40}, expected a number above 0")
        return by_likelihood(centre, slope)
    calibration = Calibration(**checked_fields(Calibration, "calibration", tree, {"2": 2}, dtype, Budget()))
    if calibration.slopes.shape[1] != len(SIGNS):
        raise ValueError(f"calibration/slopes are for {calibration.slopes.shape[1]} signs, not {len(SIGNS)}")
    return calibration


def _build_visibility(tree: dict[str, Any], n_points: int, dtype: np.dtype) -> Visibility:
    sizes = {"n_points": n_points}
    return Visibility(**checked_fields(Visibility, "visibility", tree, sizes, dtype, Budget()))


def _build_early(tree: dict[str, Any], experts: list[Any], dtype: np.dtype) -> EarlyTermination:
    views = [len(e.view_centres) for e in experts if not isinstance(e, ConvExperts)]
    sizes = {"n_views": views[0]} if views else {}
    return EarlyTermination(
        **checked_fields(EarlyTermination, "early_termination", tree, sizes, dtype, Budget())
    )


def _build_provenance(tree: dict[str, Any], header: dict[str, Any]) -> Provenance:
    digests = tree.get("learned", np.zeros((0, DIGEST_BYTES), np.uint8))
    if digests.dtype != np.uint8 or digests.shape[1:] != (DIGEST_BYTES,):
        raise ValueError(
            f"learned: {digests.dtype} of shape {digests.shape}, expected uint8 of (n, {DIGEST_BYTES})"
        )
    texts = {name: _text(header["provenance"][name]) for name in TEXTS}
    return Provenance(**texts, learned=frozenset(map(bytes, digests)))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} in the header, expected text")
    return value
