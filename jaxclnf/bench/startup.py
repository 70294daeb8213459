"""The time of whole fresh processes: a photo's first fit, its second, and yardsticks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from jaxclnf.bench.cases import WILD, timed_configs
from jaxclnf.bench.child_processes import TOOL, children_timed, last_words
from jaxclnf.bench.timed_faces import BenchFaces
from jaxclnf.cache.cache_folder import VARIABLE
from jaxclnf.media.portrait import portrait_file
from jaxclnf.models.storage import save_model
from jaxclnf.types import Model

N_MEMORY = 256
ROUNDS = 5
ARRAY = "import jax; jax.numpy.zeros(1).block_until_ready()"
FIT, HELP, DETECTION = "jaxclnf fit, a photo", "jaxclnf --help", "reading it and detecting its face"
FIRST, SECOND = "first", "second"
"""Names of processes without and with programs and the model in the cache folder."""


class RunProcess(NamedTuple):
    """A process from start to end: its seconds by the clock and of CPU time, and its output."""

    wall_s: float
    cpu_s: float
    said: dict[str, Any]


Starts = dict[str, dict[str, RunProcess]]
"""Processes by their work, then by `FIRST` and `SECOND`, or "" if the cache does not matter."""


def first_landmarks(model: Model, faces: BenchFaces, named: str | None = None) -> Starts:
    """Time a photo's landmarks with the model called ``named``, a process in which JAX makes an array, and
    the library's first landmark.
    """
    with TemporaryDirectory() as folder:
        tool = _command_line(named, Path(folder))
        first = _fresh(tool, Path(folder) / "tool")
        repeated = {
            ARRAY: [sys.executable, "-c", ARRAY],
            HELP: [*TOOL, "--help"],
            DETECTION: [sys.executable, "-m", "jaxclnf.bench.detection_process", str(portrait_file())],
            FIT: tool,
        }
        found: Starts = {name: {"": run} for name, run in _in_turn(repeated, Path(folder) / "tool").items()}
        found[FIT] = {FIRST: first, SECOND: found[FIT][""]}
        probe = _prepare(Path(folder), model, faces)
        for i, name in enumerate(name for name in timed_configs(model) if name != WILD):
            runs = [_fresh([*probe, name, "1"], Path(folder) / f"cache{i}") for _ in (FIRST, SECOND)]
            found[f"jaxclnf.fit, {name}"] = dict(zip((FIRST, SECOND), runs, strict=True))
    return found


def comparison(starts: Starts) -> str:
    """Express the second fit of a photo in multiples of the yardstick; empty if one is missing."""
    if not {FIT, ARRAY, DETECTION} <= set(starts):
        return ""
    second, array = starts[FIT][SECOND].wall_s, starts[ARRAY][""].wall_s
    detection = float(starts[DETECTION][""].said["seconds"])
    return (
        f"the second fit of a photo takes {second:.2f} s: {detection:.2f} s of detection "
        f"and {(second - detection) / array:.2f} x the array of JAX"
    )


def _in_turn(commands: dict[str, list[str]], cache: Path) -> dict[str, RunProcess]:
    """Time commands in turn, so that other load affects all alike; returns the medians of each."""
    runs = [{name: _fresh(command, cache) for name, command in commands.items()} for _ in range(ROUNDS)]
    return {name: _median([each[name] for each in runs]) for name in commands}


def _median(runs: list[RunProcess]) -> RunProcess:
    told = {key: median(run.said[key] for run in runs) for key in runs[0].said}
    return RunProcess(median(run.wall_s for run in runs), median(run.cpu_s for run in runs), told)


def peak_memory(model: Model, faces: BenchFaces) -> RunProcess:
    """Measure the memory of a batch of 256 faces with the first settings that suit the model, OpenFace's
    if it has no networks, from loading and compiling on.
    """
    with TemporaryDirectory() as folder:
        probe = _prepare(Path(folder), model, faces)
        return _fresh([*probe, next(iter(timed_configs(model))), str(N_MEMORY)], Path(folder) / "cache")


def _prepare(folder: Path, model: Model, faces: BenchFaces) -> list[str]:
    save_model(model, folder / "model.npz")
    np.savez(folder / "faces.npz", images=faces.images, boxes=faces.boxes)
    return [sys.executable, "-m", "jaxclnf.bench.fit_process", str(folder)]


def _command_line(named: str | None, folder: Path) -> list[str]:
    model = ["--model", named] if named else []
    return [*TOOL, "fit", str(portrait_file()), *model, "--out", str(folder / "out")]


def _fresh(arguments: list[str], cache: Path) -> RunProcess:
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    environment[VARIABLE] = str(cache)
    with children_timed() as cost:
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"a fresh process failed: {last_words(done.stderr)}")
    said = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    return RunProcess(cost.wall_s, cost.cpu_s, said)
