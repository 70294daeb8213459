"""Ray: how to reach a cluster or start one on this machine, and how many workers have room in it."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from jaxclnf.cores import n_cores

LOCAL = "local"
LOCAL_STORE = 500 * 2**20
"""Bytes of the object store of a cluster on this machine: the model, and pictures between two stages."""


class Size(NamedTuple):
    """What a worker takes of a machine, and how many of them there may be."""

    cpus: float = 1
    gpus: float = 0
    most: int | None = None


def ray_module() -> Any:
    """The package ray; raises ValueError where it is not installed."""
    try:
        import ray
    except ImportError:
        raise ValueError(
            "--cluster needs the package ray, which is not installed: pip install 'jaxclnf[cluster]'"
        ) from None
    return ray


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Ray, connected to the cluster at ``address``, or to one that is started here and ends with the run.

    A connection that exists already is used, and stays. Raises ValueError where nothing answers.
    """
    ray = ray_module()
    if ray.is_initialized():
        yield ray
        return
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    folder = tempfile.mkdtemp(prefix="jaxclnf-ray-") if address == LOCAL else None
    try:
        with warnings.catch_warnings():  # JAX warns of forks; Ray's processes run no Python before they begin
            warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
            if folder:
                _start(ray, folder, quiet)
            else:
                _join(ray, address, quiet)
        yield ray
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _start(ray: Any, folder: str, quiet: dict[str, Any]) -> None:
    ray.init(
        num_cpus=n_cores(),
        object_store_memory=LOCAL_STORE,
        include_dashboard=False,
        _temp_dir=folder,
        **quiet,
    )


def _join(ray: Any, address: str, quiet: dict[str, Any]) -> None:
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError, OSError, ray.exceptions.RayError) as error:
        said = " ".join(str(error).split())[:200]
        raise ValueError(
            f"--cluster {address}: no cluster answers ({said}); give local, auto or HOST:PORT of a machine "
            "on which `ray start --head` ran"
        ) from None


def room(ray: Any, size: Size) -> int:
    """How many workers of a size the cluster's machines hold, were they empty."""
    needs = {"CPU": size.cpus, "GPU": size.gpus}
    return sum(
        min(int(node["Resources"].get(kind, 0) / need) for kind, need in needs.items() if need)
        for node in ray.nodes()
        if node["Alive"]
    )
