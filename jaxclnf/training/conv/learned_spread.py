"""The spread of landmarks' errors relative to their response maps, learned on held-back faces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxclnf.config import FitConfig
from jaxclnf.data.datasets import Faces
from jaxclnf.data.evaluate import fit_annotated
from jaxclnf.models.network_presets import settings_for
from jaxclnf.ops.certainty import certain_square
from jaxclnf.types import ConvExperts, Model

SHARE = 0.9

PRESETS = "fast", "best", "default"
"""In this order, since ``best`` looks with the default's network, too."""


def with_learned_spreads(model: Model, faces: Faces) -> Model:
    """Scale the covariances of every network, by fits with each of the presets (`with_learned_spread`)."""
    settings = [settings_for(model, name) for name in PRESETS]
    for config in settings:
        # The last one measures its networks anew: others that look with them alone would fit in vain.
        if config is settings[-1] or looking(model, config) - looking(model, settings[-1]):
            model = with_learned_spread(model, faces, config)
    return model


def looking(model: Model, config: FitConfig) -> set[int]:
    """Give the numbers of the networks that look at faces with these settings."""
    stages = (stage for _, stage, experts in model.stages_of(config) if isinstance(experts, ConvExperts))
    return {stage.scale for stage in stages}


def with_learned_spread(model: Model, faces: Faces, config: FitConfig | None = None) -> Model:
    """Scale covariances so that 90 % of the landmarks lie within the ellipses said to hold 90 %.

    They are those of the networks that look with the settings of ``config``, by default the model's. Raises
    ValueError if there are none.
    """
    config = model.settings if config is None else config
    results = list(fit_annotated(model, faces, config))
    if results[0].covariance is None:
        raise ValueError("fits with these settings have no covariances: they use no convolutional expert")
    apart = np.stack([np.asarray(r.landmarks) for r in results]) - faces.points
    covariances = np.stack([np.asarray(r.covariance, np.float64) for r in results])
    squares = np.einsum("fni,fnij,fnj->fn", apart, np.linalg.inv(covariances), apart)
    factor = np.nanquantile(squares, SHARE) / float(certain_square(SHARE))
    experts: list[Any] = list(model.experts)
    for i in looking(model, config):
        spread = experts[i].spread
        experts[i] = replace(experts[i], spread=jnp.asarray(factor * spread, spread.dtype))
    return replace(model, experts=tuple(experts))
