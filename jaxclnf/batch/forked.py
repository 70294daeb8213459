"""Fits in processes that were forked from one in which JAX had run.

There JAX would wait for ever for threads that the fork did not copy. Such a process has its fits done by a
fresh one, which it starts at the first fit. Workers of a "spawn" pool do not need that and start as fast.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxclnf.config import FitConfig
from jaxclnf.types import FitResult, Model

AT_A_TIME = 64  # faces handed over before their results are waited for


def fit_elsewhere(
    model: Model, faces: Iterable[tuple[np.ndarray, np.ndarray]], config: FitConfig | None
) -> Iterator[FitResult]:
    """Do `jaxclnf.fit_stream` in the fresh process."""
    helper, remaining = _helper(os.getpid()), iter(faces)
    settings = jax.tree.map(np.asarray, (model, config))
    while some := list(islice(remaining, AT_A_TIME)):
        pickle.dump((settings, [tuple(map(np.asarray, face)) for face in some]), helper.stdin)
        helper.stdin.flush()
        results, error = pickle.load(helper.stdout)
        yield from results
        if error is not None:
            raise error


@cache
def _helper(pid: int) -> Any:
    """Start the fresh process of this one; it ends when this one does."""
    package = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    config: Any = jax.config
    kept = config.jax_compilation_cache_dir, config.jax_enable_x64
    program = f"from jaxclnf.batch.served import serve; serve(*{kept!r})"
    environment = os.environ | {"PYTHONPATH": paths}
    command, pipe = [sys.executable, "-c", program], subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe)
