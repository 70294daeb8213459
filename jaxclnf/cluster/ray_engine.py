"""Ray: connecting to a cluster or starting one on this machine, and counting the workers it has room for."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from jaxclnf.cores import n_cores

LOCAL = "local"
LOCAL_STORE = 500 * 2**20
"""Bytes of a local cluster's object store, which holds the model, and pictures between two stages."""

_PREFIX = "jaxclnf-ray-"
_SOCKET = f"/{_PREFIX}12345678/session_2026-12-31_12-00-00_123456_1234567/sockets/plasma_store"
"""How Ray calls the socket with the longest name in a folder of temporary files."""

_LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107
"""Bytes of a socket's name that the system takes."""


class Size(NamedTuple):
    """The resources that a worker needs, and the largest number of workers."""

    cpus: float = 1
    gpus: float = 0
    most: int | None = None


def ray_module() -> Any:
    """Import the package ray; raises ValueError if it is not installed."""
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # the pool handles those of workers
    try:
        import ray
    except ImportError:
        raise ValueError(
            "--cluster needs the package ray, which is not installed: pip install 'jaxclnf[cluster]'"
        ) from None
    return ray


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect Ray to the cluster at ``address``, or to one that is started here and ends with the run.

    An existing connection is used, and kept. Raises ValueError if no cluster answers.
    """
    ray = ray_module()
    if ray.is_initialized():
        yield ray
        return
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    folder = tempfile.mkdtemp(prefix=_PREFIX, dir=folder_for_sockets()) if address == LOCAL else None
    try:
        with (
            _ended_as_before(),
            warnings.catch_warnings(),
        ):  # JAX warns of forks; Ray's processes run no Python before they begin
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


def folder_for_sockets() -> str:
    """Choose the folder of a cluster's own folder: that of temporary files, or /tmp if its name is too long.

    Schedulers of clusters and macOS name long ones. Raises ValueError if neither will do.
    """
    usual, longest = tempfile.gettempdir(), _LONGEST_SOCKET - len(_SOCKET)
    if sys.platform == "win32" or len(os.fsencode(usual)) <= longest:
        return usual
    if os.access("/tmp", os.W_OK | os.X_OK):
        return "/tmp"
    raise ValueError(
        f"--cluster {LOCAL}: {usual}, the folder of temporary files, has too long a name for Ray's sockets; "
        f"set TMPDIR to one of at most {longest} characters"
    )


@contextmanager
def _ended_as_before() -> Iterator[None]:
    """Keep Ray from printing the stack of a process that is ended by SIGTERM."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _start(ray: Any, folder: str, quiet: dict[str, Any]) -> None:
    ray.init(
        num_cpus=n_cores(),
        object_store_memory=LOCAL_STORE,
        include_dashboard=False,
        _temp_dir=folder,
        **quiet,
    )


def _join(ray: Any, address: str, quiet: dict[str, Any]) -> None:
    knock(address)
    try:
        ray.init(address=address, **quiet)
    except (ValueError, RuntimeError, OSError, ray.exceptions.RayError) as error:
        raise _no_answer(address, error) from None


def _no_answer(address: str, error: Exception) -> ValueError:
    said = " ".join(str(error).split())[:200]
    return ValueError(
        f"--cluster {address}: no cluster answers ({said}); give local, auto or HOST:PORT of a machine "
        "on which `ray start --head` ran"
    )


def knock(address: str) -> None:
    """Raise ValueError if nobody listens at HOST:PORT, where Ray would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        except (OSError, OverflowError, UnicodeError) as error:
            raise _no_answer(address, error) from None


def room(ray: Any, size: Size) -> int:
    """Count the workers of a size that the cluster's machines could hold if they were idle."""
    needs = {"CPU": size.cpus, "GPU": size.gpus}
    return sum(
        min(int(node["Resources"].get(kind, 0) / need) for kind, need in needs.items() if need)
        for node in ray.nodes()
        if node["Alive"]
    )


def share_out(ray: Any, sizes: Sequence[Size]) -> list[int]:
    """Share a cluster's processors out among stages: the number of workers of each, if machines were idle.

    A stage takes what it may have but a worker's processors for each later one, without which no task would
    ever be finished.
    """
    free = sum(node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"])
    counts = []
    for number, size in enumerate(sizes, 1):
        kept = sum(later.cpus for later in sizes[number:])
        space = max(0, min(room(ray, size), int((free - kept) / size.cpus)))
        counts.append(space if size.most is None else min(size.most, space))
        free -= counts[-1] * size.cpus
    return counts
