"""Compiled programs as entries of the cache folder."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import serialize_executable
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from jaxclnf.cache import cache_folder
from jaxclnf.cache.flat import first_device


def compiled_anew(lowered: Any) -> Any:
    """Have XLA compile: a program that JAX reads from its own cache cannot be stored a second time."""
    with _without_jax_cache():
        return lowered.compile()


@contextmanager
def _without_jax_cache() -> Iterator[None]:
    config: Any = jax.config
    folder_of_jax = config.jax_compilation_cache_dir
    config.update("jax_compilation_cache_dir", None)
    reset_cache()
    try:
        yield
    finally:
        config.update("jax_compilation_cache_dir", folder_of_jax)
        reset_cache()


def store(name: str, program: Any) -> None:
    """Keep a compiled program under a name, if that is possible."""
    try:
        content, _, out_tree = serialize_executable.serialize(program)
        parts = [pickle.dumps(out_tree), content]
    except Exception:  # a program that cannot be stored is compiled by the next process too
        return
    cache_folder.write(name, parts)


def restored(name: str, in_tree: Any) -> Any:
    """Read a program; raises an exception of any kind where there is none that can be used."""
    parts = cache_folder.read(name)
    if parts is None:
        raise LookupError(f"no program {name} is kept")
    out_tree, content = pickle.loads(parts[0]), bytes(parts[1])
    if not isinstance(out_tree, jax.tree_util.PyTreeDef):
        raise ValueError(f"{name} does not hold a program")
    if b"lapack_" in content:
        _find_lapack()
    load = serialize_executable.deserialize_and_load
    return load(content, in_tree, out_tree, execution_devices=[first_device()])


def _find_lapack() -> None:
    """Have JAX look up the functions of LAPACK, which it does when it first compiles a call of them."""
    jax.jit(jnp.linalg.inv).lower(jax.ShapeDtypeStruct((2, 2), np.float32))
