"""The training run of convolutional experts: the largest first, which then teaches the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclnf.data.datasets import Faces
from jaxclnf.training.checkpoint import Checkpoint
from jaxclnf.training.conv.crops import gather_crops, patch_scale
from jaxclnf.training.conv.learn import TrainingState, begin, steady_network, take_steps
from jaxclnf.training.conv.pictures import Crops
from jaxclnf.training.conv.recipe import ConvRecipe
from jaxclnf.types import PDM, ConvExperts, ConvNetwork

CHUNK = {"cpu": 5}
"""Steps of one compiled call where a step is slow; elsewhere there are `MANY`."""

MANY = 100
SETTLING = 200
"""Number of batches for the statistics of a finished network."""


class ConvProgress(NamedTuple):
    """A report of a run's progress."""

    name: str
    step: int
    n_steps: int
    loss: float
    distance: float  # of the maps' means from the landmarks, pixels of the picture


def train_networks(
    faces: Faces,
    pdm: PDM,
    recipes: dict[str, ConvRecipe],
    folder: Path,
    run: str,
    report: Callable[[ConvProgress], None],
) -> list[ConvExperts]:
    """Train a network by each recipe, in their order; the first one teaches those after it.

    ``folder`` keeps a checkpoint of each, from which a run that was stopped goes on.
    """
    if faces.mirror is None:
        raise ValueError(
            "convolutional experts learn from mirrored faces too: the markup has no mirror image"
        )
    teacher, made = None, []
    crops: dict[tuple[int, float], Crops] = {}
    for name, recipe in recipes.items():
        empty = unlearned(pdm, recipe, faces.mirror)
        key = recipe.side, recipe.reach
        if key not in crops:
            crops[key] = gather_crops(faces, pdm, empty, recipe)
        (path,) = checkpoints(folder, [name])
        network = _learn(name, crops[key], np.asarray(faces.mirror), recipe, teacher, path, run, report)
        teacher = network if teacher is None else teacher
        made.append(empty.__class__(empty.patch_scale, empty.spread, network, empty.side, empty.mirror))
    return made


def checkpoints(folder: Path, names: Iterable[str]) -> list[Path]:
    """List the checkpoints of networks' training, which are deleted when the model is written."""
    return [folder.with_suffix(f".{name}.checkpoint.npz") for name in names]


def unlearned(pdm: PDM, recipe: ConvRecipe, mirror: Sequence[int]) -> ConvExperts:
    """Make the expert before its training."""
    learned = begin(recipe, pdm.n_points).kept.network
    scale = np.float32(patch_scale(pdm, recipe))
    return ConvExperts(
        jnp.asarray(scale), jnp.float32(1), learned, recipe.side, tuple(int(i) for i in mirror)
    )


def _learn(
    name: str,
    crops: Crops,
    mirror: np.ndarray,
    recipe: ConvRecipe,
    teacher: ConvNetwork | None,
    path: Path,
    run: str,
    report: Callable[[ConvProgress], None],
) -> ConvNetwork:
    checkpoint = Checkpoint(path, f"{run} {name} {recipe}")
    first = begin(recipe, len(mirror))
    (learned,) = checkpoint.begin([first.learned])
    learned, rest, step = checkpoint.resume(0, learned, first._replace(learned=None))
    state: Any = TrainingState(*rest)._replace(learned=learned)
    if not checkpoint.unfinished(0):
        raise ValueError(f"{path}: a finished run's checkpoint; delete it to begin anew")
    key, index = jax.random.key(recipe.seed + 1), jnp.asarray(mirror, jnp.int32)
    dtype = jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16
    chunk = CHUNK.get(jax.default_backend(), MANY)
    total = jnp.float32(recipe.steps)
    while step < recipe.steps:
        n = min(chunk, recipe.steps - step)
        state, loss, distance = take_steps(state, crops, index, key, recipe, n, total, teacher, dtype)
        step += n
        report(ConvProgress(name, step, recipe.steps, float(loss), float(distance)))
        rest = state._replace(learned=None)
        checkpoint.save(0, step, [state.learned], rest, finished=False)
    batches = SETTLING if chunk == MANY else min(SETTLING, recipe.steps)
    return steady_network(state, crops, index, jax.random.key(recipe.seed + 2), recipe, batches, dtype)
