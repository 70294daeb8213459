"""A worker: a process of a cluster that holds a model and works on one task after the other."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from importlib import metadata
from typing import Any, NamedTuple

Task = Any
Function = Callable[["Share", Any, Any], Any]
"""Function of what all tasks share, a task, and what the stage before made of it."""


class Circumstances(NamedTuple):
    """Under what a worker computes as its driver does."""

    folder: str  # from which relative paths count
    compiled: str | None  # where compiled programs are kept
    x64: bool
    cpus: float = 1
    gpus: float = 0


class Share:
    """What all tasks have in common: arrays, which lie in the object store once a machine, and a job."""

    def __init__(self, arrays: Any, job: Any) -> None:
        self.job = job
        self._arrays, self._placed = arrays, None

    @property
    def arrays(self) -> Any:
        """The arrays on the worker's device, where they are brought when they are first asked for."""
        import jax

        if self._placed is None:
            self._placed = jax.device_put(self._arrays)
        return self._placed


class Worker:
    """What Ray runs on each place for a worker."""

    def __init__(self, arrays: Any, job: Any, circumstances: Circumstances) -> None:
        _prepare(circumstances)
        self._share = Share(arrays, job)

    def ready(self) -> tuple[str, str]:
        """The machine's name, and the version of jaxclnf there."""
        return socket.gethostname(), metadata.version("jaxclnf")

    def run(self, function: Function, task: Task, before: Any) -> tuple[str, Any]:
        """Do a task; returns the machine's name, which is small and comes first, and the result."""
        return socket.gethostname(), function(self._share, task, before)


def _prepare(circumstances: Circumstances) -> None:
    """Set up JAX before it has begun, as it is set up in the driver, with the share of a GPU asked for."""
    if os.path.isdir(circumstances.folder):
        os.chdir(circumstances.folder)
    if circumstances.gpus:
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.9 * min(1.0, circumstances.gpus):.2f}")
    import cv2
    import jax

    from jaxclnf.cores import allot

    cores = max(1, int(circumstances.cpus))
    allot(cores)
    cv2.setNumThreads(cores)
    if not circumstances.gpus:
        jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", circumstances.x64)
    jax.config.update("jax_compilation_cache_dir", circumstances.compiled)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
