"""A worker: a process of a cluster that holds a model and does one task after the other."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from importlib import metadata
from typing import Any, NamedTuple

Task = Any
Function = Callable[["Share", Any, Any], Any]
"""Function of the share of all tasks, a task, and the result of the stage before."""


class Circumstances(NamedTuple):
    """Settings of the driver's process, under which its workers compute the same."""

    folder: str  # from which relative paths count
    compiled: str | None  # where compiled programs are kept
    x64: bool
    cpus: float = 1
    gpus: float = 0


class Share:
    """The data that all tasks share: arrays, of which a machine's object store holds one copy, and a job."""

    def __init__(self, arrays: Any, job: Any) -> None:
        self.job = job
        self._arrays, self._placed = arrays, None

    @property
    def arrays(self) -> Any:
        """The arrays on the worker's device, copied there at their first use."""
        import jax

        if self._placed is None:
            self._placed = jax.device_put(self._arrays)
        return self._placed


class Worker:
    """The actor that Ray runs for each worker."""

    def __init__(self, arrays: Any, job: Any, circumstances: Circumstances) -> None:
        _prepare(circumstances)
        self._share = Share(arrays, job)

    def ready(self) -> tuple[str, str]:
        """Return the machine's name, and its version of jaxclnf."""
        return socket.gethostname(), metadata.version("jaxclnf")

    def run(self, function: Function, task: Task, before: Any) -> tuple[str, Any]:
        """Do a task; returns the machine's name and, as a second object that may be large, the result."""
        return socket.gethostname(), function(self._share, task, before)


def _prepare(circumstances: Circumstances) -> None:
    """Set up JAX before its first use, as in the driver, with the share of a GPU that was asked for."""
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
