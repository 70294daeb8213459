"""What tells one model from another, whatever they are called."""

from __future__ import annotations

import hashlib

import jax
import numpy as np

from jaxclnf.types import Model


def fingerprint(model: Model) -> str:
    """Equal for equal models: a hash over all their arrays and all that is static in them."""
    leaves, structure = jax.tree.flatten(model)
    said = hashlib.sha256(str(structure).encode())
    for leaf in map(np.asarray, leaves):
        said.update(f"{leaf.dtype} {leaf.shape}".encode())
        said.update(leaf.tobytes())
    return said.hexdigest()[:32]
