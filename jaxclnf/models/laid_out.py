"""Models laid out as fits use them, in files of the cache folder that are mapped into memory.

A model's file is small; unpacked, checked and completed it is several times as large. That is done once for
each file, recognised by its content: later processes use the arrays without a copy.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from jaxclnf import cache
from jaxclnf.cache.cache_folder import MODEL
from jaxclnf.cache.program_key import sources
from jaxclnf.types import Model


def laid_out(path: Path, dtype: np.dtype, build: Callable[[], Model]) -> Model:
    """Read a file's model from the cache folder, or build it and keep it there."""
    if cache.place() is None:
        return build()
    name = _name(path, dtype)
    found = _read(name)
    if found is None:
        found = build()
        _write(name, found)
    return found


def _name(path: Path, dtype: np.dtype) -> str:
    """Name the entry of this file's content, read by this version of the package."""
    told = hashlib.sha256(f"{dtype} {np.__version__} {sources()}".encode())
    with path.open("rb") as file:
        told.update(hashlib.file_digest(file, "sha256").digest())
    return f"{MODEL}{told.hexdigest()[:40]}"


def _read(name: str) -> Model | None:
    parts = cache.read(name)
    if parts is None:
        return None
    try:
        return jax.device_put(pickle.loads(parts[0], buffers=parts[1:]))
    except Exception:  # the model can be built even if the entry is unusable
        return None


def _write(name: str, model: Model) -> None:
    arrays: list[pickle.PickleBuffer] = []
    host = jax.tree.map(lambda a: np.ascontiguousarray(a).reshape(np.shape(a)), model)
    structure = pickle.dumps(host, protocol=5, buffer_callback=arrays.append)
    cache.write(name, [structure, *(array.raw() for array in arrays)])
