"""Fingerprints of models, which tell them apart whatever they are called."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import jax
import numpy as np

from jaxclnf.types import Model


def fingerprint(model: Model) -> str:
    """Hash all arrays of a model and all that is static in it: equal for equal models, in every process."""
    leaves, structure = jax.tree.flatten(_without_learned(model))
    said = hashlib.sha256(str(structure).encode())
    said.update(b"".join(sorted(model.learned)))
    for leaf in map(np.asarray, leaves):
        said.update(f"{leaf.dtype} {leaf.shape}".encode())
        said.update(leaf.tobytes())
    return said.hexdigest()[:32]


def _without_learned(model: Model) -> Model:
    """Empty the model's sets of digests, which each process prints in another order."""
    parts = tuple(replace(part, model=_without_learned(part.model)) for part in model.parts)
    return replace(model, parts=parts, provenance=replace(model.provenance, learned=frozenset()))
