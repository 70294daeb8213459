"""Fingerprints, which tell models and other arrays apart whatever they are called."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxclnf.types import Model


def fingerprint(model: Model) -> str:
    """Hash all arrays of a model and all that is static in it: equal for equal models, in every process."""
    return hash_of(_without_learned(model), b"".join(sorted(model.learned)))


def hash_of(tree: Any, *more: bytes) -> str:
    """Hash the arrays of a pytree with their types and shapes, its structure, and more bytes."""
    leaves, structure = jax.tree.flatten(tree)
    said = hashlib.sha256(str(structure).encode())
    said.update(b"".join(more))
    for leaf in map(np.asarray, leaves):
        said.update(f"{leaf.dtype} {leaf.shape}".encode())
        said.update(leaf.tobytes())
    return said.hexdigest()[:32]


def _without_learned(model: Model) -> Model:
    """Empty the model's sets of digests, which each process prints in another order."""
    parts = tuple(replace(part, model=_without_learned(part.model)) for part in model.parts)
    return replace(model, parts=parts, provenance=replace(model.provenance, learned=frozenset()))
