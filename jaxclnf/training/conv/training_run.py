"""The training run of convolutional experts: the largest first, which then teaches the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxclnf.data.datasets import Faces
from jaxclnf.ops.conv_network import normalised
from jaxclnf.training.checkpoint import Checkpoint, checkpoint_of
from jaxclnf.training.conv.augmentation import Crops, draw_lesson
from jaxclnf.training.conv.network_crops import gather_crops
from jaxclnf.training.conv.network_recipe import ConvRecipe, run_of
from jaxclnf.training.conv.steps import steady_network, take_steps
from jaxclnf.training.conv.training_state import TrainingState, begin, begin_from
from jaxclnf.training.turned_crops import check_turnable
from jaxclnf.types import PDM, ConvExperts, ConvNetwork

CHUNK = {"cpu": 1}
"""Steps of one compiled call, where a step is slow; elsewhere `MANY`."""

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
    out: Path,
    run: str,
    report: Callable[[ConvProgress], None],
    known: Mapping[str, ConvExperts] = MappingProxyType({}),
    on_turned: Callable[[], None] = lambda: None,
) -> list[ConvExperts]:
    """Train a network by each recipe, in their order; the first one teaches those after it.

    A checkpoint of each lies beside the model's file, ``out``, from which a run that was stopped goes on.
    Networks that are ``known`` by a recipe's name learn further, with the scale and spread that they have;
    others begin with random weights and a spread of 1.
    ``on_turned`` is called for each copy of a face that was turned to a side, before the steps.
    """
    mirror = checked_mirror(faces, recipes)
    teacher, made = None, []
    crops: dict[tuple[int, float, int, int], Crops] = {}
    for name, recipe in recipes.items():
        expert = known[name] if name in known else unlearned(pdm, recipe, mirror)
        key = recipe.side, recipe.reach, recipe.warped, recipe.turned
        if key not in crops:
            crops[key] = gather_crops(faces, pdm, expert, recipe, on_turned)
        own = Pupil(name, recipe, known[name].network if name in known else None, teacher)
        checkpoint = Checkpoint(checkpoint_of(out, name), run_of(run, recipes, name))
        network = _learn(own, crops[key], np.asarray(mirror), checkpoint, report)
        teacher = network if teacher is None else teacher
        made.append(replace(expert, network=network, mirror=_whole(mirror)))
    return made


def checked_mirror(faces: Faces, recipes: Mapping[str, ConvRecipe]) -> tuple[int, ...]:
    """Give the faces' mirror table; raises ValueError for a markup from which these networks cannot learn."""
    if faces.mirror is None:
        raise ValueError(
            f"networks ({', '.join(recipes)}) learn from mirrored faces too, and the mirror image of these "
            f"{faces.n_points} landmarks is not known: choose them from the 68 by --landmarks, those of both "
            "sides of the face, or learn without networks by --experts ccnf"
        )
    for name, recipe in recipes.items():
        check_turnable(faces.n_points, recipe.turned, f"{name}.turned")
    return faces.mirror


def unlearned(pdm: PDM, recipe: ConvRecipe, mirror: Sequence[int]) -> ConvExperts:
    """Make the expert before its training."""
    learned = begin(recipe, pdm.n_points).kept.network
    scale = np.float32(recipe.patch_scale(pdm))
    return ConvExperts(jnp.asarray(scale), jnp.float32(1), learned, recipe.side, _whole(mirror))


def _whole(mirror: Sequence[int]) -> tuple[int, ...]:
    """Give a mirror table in Python's own numbers."""
    return tuple(int(i) for i in mirror)


class Pupil(NamedTuple):
    """A network that is to learn, from random weights on or further, alone or from a teacher too."""

    name: str
    recipe: ConvRecipe
    before: ConvNetwork | None
    teacher: ConvNetwork | None

    def begin(self, crops: Crops, mirror: Array) -> TrainingState:
        """Make the state before the first step."""
        if self.before is None:
            return begin(self.recipe, len(mirror))
        lesson = draw_lesson(crops, mirror, self.recipe, jax.random.key(self.recipe.seed))
        return begin_from(self.before, self.recipe, normalised(lesson.pictures))


def _learn(
    pupil: Pupil,
    crops: Crops,
    mirror: np.ndarray,
    checkpoint: Checkpoint,
    report: Callable[[ConvProgress], None],
) -> ConvNetwork:
    name, recipe = pupil.name, pupil.recipe
    index = jnp.asarray(mirror, jnp.int32)
    first = pupil.begin(crops, index)
    (learned,) = checkpoint.begin([first.learned])
    learned, rest, step = checkpoint.resume(0, learned, first._replace(learned=None))
    state: Any = TrainingState(*rest)._replace(learned=learned)
    if not checkpoint.unfinished(0):
        raise ValueError(f"{checkpoint.path}: a finished run's checkpoint; delete it to begin anew")
    key = jax.random.key(recipe.seed + 1)
    dtype = jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16
    chunk = CHUNK.get(jax.default_backend(), MANY)
    total = jnp.float32(recipe.steps)
    while step < recipe.steps:
        n = min(chunk, recipe.steps - step)
        state, loss, distance = take_steps(state, crops, index, key, recipe, n, total, pupil.teacher, dtype)
        step += n
        report(ConvProgress(name, step, recipe.steps, float(loss), float(distance)))
        rest = state._replace(learned=None)
        checkpoint.save(0, step, [state.learned], rest, finished=False)
    batches = SETTLING if chunk == MANY else min(SETTLING, recipe.steps)
    return steady_network(state, crops, index, jax.random.key(recipe.seed + 2), recipe, batches, dtype)
