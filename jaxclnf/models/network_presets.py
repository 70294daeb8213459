"""Presets for models with convolutional experts, which depend on the experts of the model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from jaxclnf.config import FitConfig, Stage
from jaxclnf.types import CENExperts, ConvExperts, Model

WHOLE: dict[str, Any] = {"window": None, "reg_factor": 1.0, "iterations": 5, "freedom": 0.45}
FINE: dict[str, Any] = {"window": 9, "reg_factor": 6.0, "sigma": 2.0, "iterations": 5, "freedom": 0.3}
SURE: dict[str, Any] = FINE | {"sigma": 1.5, "anchor": 0.2}
HASTY: dict[str, Any] = WHOLE | {"iterations": 2}
QUICK: dict[str, Any] = FINE | {"window": 7, "iterations": 2}

LOOKS = 3
"""Pictures of a face that each network looks at with ``best``."""


def has_network(model: Model) -> bool:
    """Tell whether a model has a convolutional expert."""
    return bool(_networks(model))


def uses_network(model: Model, config: FitConfig) -> bool:
    """Tell whether fits with these settings look with a convolutional expert, and so have covariances."""
    return any(isinstance(experts, ConvExperts) for _, _, experts in model.stages_of(config))


def has_cen(model: Model) -> bool:
    """Tell whether a model has CEN experts, OpenFace 2's."""
    return any(isinstance(experts, CENExperts) for experts in model.experts)


def settings_for(model: Model, name: str) -> FitConfig:
    """Give the settings ``default``, ``best`` or ``fast`` of a model with convolutional experts.

    default: the middle one of its networks finds the landmarks, and patch experts refine them. fast: the
    smallest network, smaller windows and fewer steps. best: the middle network, then the two largest ones,
    each averaged over several pictures of the face and, where it is known which landmarks these show, their
    mirror images, then patch experts, which count for more.
    """
    networks, fine = _networks(model), finest_place(model)
    first = networks[(len(networks) - 1) // 2]
    if name == "fast":
        stages = (Stage(scale=networks[0], **HASTY), *(Stage(scale=k, anchor=0.3, **QUICK) for k in fine))
    elif name == "best":
        seen = [Stage(scale=first, **WHOLE)]
        for i, k in enumerate(networks[:-3:-1]):
            mirrored = bool(getattr(model.experts[k], "mirror", ()))  # else nobody knows what it would see
            seen.append(Stage(scale=k, mirrored=mirrored, looks=LOOKS, anchor=i / (i + 1), **WHOLE))
        stages = (*seen, *(Stage(scale=k, **SURE) for k in fine))
    else:
        stages = (Stage(scale=first, **WHOLE), *(Stage(scale=k, anchor=0.3, **FINE) for k in fine))
    return replace(
        model.settings,
        stages=stages,
        start_rotations=np.zeros((1, 3), np.float32),
        min_scale=np.float32(0.1),
        parts={},
        temperature=0.0,
    )


def _networks(model: Model) -> list[int]:
    """Numbers of the convolutional experts, smallest first."""
    places = [i for i, e in enumerate(model.experts) if isinstance(e, ConvExperts)]
    return sorted(places, key=lambda i: _size(model.experts[i]))


def _size(experts) -> int:
    return sum(level.enter.bias.size for level in experts.network.down)


def finest_place(model: Model) -> list[int]:
    """Number of the finest patch experts, as a list of one; empty if there are none."""
    places = [i for i, e in enumerate(model.experts) if not isinstance(e, ConvExperts)]
    return sorted(places, key=lambda i: float(model.experts[i].patch_scale))[-1:]
