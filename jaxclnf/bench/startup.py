"""What fresh processes take: to the first landmark, without and with the compilation cache, and in memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from jaxclnf.bench.cases import OPENFACE, OURS
from jaxclnf.bench.faces import BenchFaces
from jaxclnf.models.storage import save_model
from jaxclnf.types import Model

N_MEMORY = 256


class Fresh(NamedTuple):
    """A process from its start to its end: seconds on the clock and of CPU time, and what it said."""

    wall_s: float
    cpu_s: float
    said: dict[str, Any]


def first_landmarks(model: Model, faces: BenchFaces) -> dict[str, dict[str, Fresh]]:
    """Time to the first landmark, cold and with the cache, of library and command line."""
    with TemporaryDirectory() as folder:
        probe = _prepare(Path(folder), model, faces)
        tool = [*_command_line(Path(folder)), "--out", f"{folder}/out"]
        runs = {name: [*probe, name, "1"] for name in (OPENFACE, OURS)} | {"jaxclnf fit, a photo": tool}
        found = {}
        for i, (name, arguments) in enumerate(runs.items()):
            cache = Path(folder) / f"cache{i}"
            found[name] = {kind: _fresh(arguments, cache) for kind in ("cold", "with the cache")}
    return found


def peak_memory(model: Model, faces: BenchFaces) -> Fresh:
    """A batch of 256 faces under OpenFace's default settings, loading and compiling included."""
    with TemporaryDirectory() as folder:
        probe = _prepare(Path(folder), model, faces)
        return _fresh([*probe, OPENFACE, str(N_MEMORY)], Path(folder) / "cache")


def _prepare(folder: Path, model: Model, faces: BenchFaces) -> list[str]:
    save_model(model, folder / "model.npz")
    np.savez(folder / "faces.npz", images=faces.images, boxes=faces.boxes)
    return [sys.executable, "-m", "jaxclnf.bench.probe", str(folder)]


def _command_line(folder: Path) -> list[str]:
    from matplotlib import cbook

    photo = str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    return [sys.executable, "-m", "jaxclnf", "fit", photo, "--model", str(folder / "model.npz")]


def _fresh(arguments: list[str], cache: Path) -> Fresh:
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    }
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise ValueError(f"a fresh process failed: {(done.stderr.strip() or 'it said nothing')[-300:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    return Fresh(wall, cpu, said)
