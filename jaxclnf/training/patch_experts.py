"""The training run of patch experts: scale after scale, round after round, resumed from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from jaxclnf.config import FitConfig
from jaxclnf.fitting.full_precision import in_full_precision
from jaxclnf.fitting.nurlms import StageSettings
from jaxclnf.ops.shape import shape_2d
from jaxclnf.training.checkpoint import Checkpoint
from jaxclnf.training.first_neurons import first_neurons
from jaxclnf.training.loss import Aim, Form, view_losses
from jaxclnf.training.neurons import Neurons, experts_of, learned_yaws
from jaxclnf.training.patch_crops import TrainingPhotos
from jaxclnf.training.patch_recipe import Recipe
from jaxclnf.training.starts import (
    BOX_SPREAD,
    STAGE_SPREAD,
    Spread,
    Starts,
    advance_starts,
    box_correction,
    box_starts,
    displaced,
)
from jaxclnf.types import PDM, Model, PatchExperts

CHUNK = 50  # steps between two draws of starts
YAW_SPREAD = 0.12  # radians; faces this far beyond a view's border help to teach it
FINAL_RATE = 0.03  # of the first, at the end of a round
ADAM = optax.scale_by_adam()


class Task(NamedTuple):
    """The data and settings of a training run."""

    recipe: Recipe
    pdm: PDM
    mirror: tuple[int, ...] | None
    photos: TrainingPhotos
    held_back: TrainingPhotos | None
    first_spread: Spread = BOX_SPREAD  # of the starts of the coarsest scale


class TrainingProgress(NamedTuple):
    """One report of a run under way."""

    step: int
    n_steps: int
    round: int
    scale: float
    cross_entropy: float
    error: float  # model units, after the stage; 0 in the first round, which does not compute it


def train(
    task: Task,
    checkpoint: Checkpoint,
    report: Callable[[TrainingProgress], None],
    note: Callable[[str], None],
) -> Model:
    """Learn the experts of every scale and return the model.

    ``note`` is told the error after each stage, on the faces learned from and on those held back.
    """
    recipe, n_stages = task.recipe, len(task.recipe.scales)
    neurons = checkpoint.begin(
        [first_neurons(recipe, task.mirror is not None, task.photos, i) for i in range(n_stages)]
    )
    config = trained_config(task)
    for r in range(len(recipe.steps)):
        starts = box_starts(task.pdm, task.photos, config)
        tests = task.held_back and box_starts(task.pdm, task.held_back, config)
        for i in range(n_stages):
            if checkpoint.unfinished(r * n_stages + i):
                neurons[i] = learn_stage(task, neurons, starts, r, i, checkpoint, report)
            experts = stage_experts(task, neurons[i], i)
            starts = _advance(task, experts, task.photos, starts, i)
            text = f"round {r + 1}, scale {recipe.scales[i]}: "
            text += f"{_error(task.pdm, task.photos, starts)} learned from"
            if task.held_back is not None and tests is not None:
                tests = _advance(task, experts, task.held_back, tests, i)
                text += f", {_error(task.pdm, task.held_back, tests)} held back"
            note(text)
    return assemble(task, neurons)


def trained_config(task: Task) -> FitConfig:
    """Give the settings of the fit that the experts are trained for."""
    return replace(
        task.recipe.fit_config(), box_correction=box_correction(task.photos.boxes, task.photos.points)
    )


def assemble(task: Task, neurons: list[Neurons]) -> Model:
    """Assemble the model of learned experts, with the settings that they were learned for."""
    experts = tuple(exact_shares(stage_experts(task, learned, i)) for i, learned in enumerate(neurons))
    return Model(pdm=task.pdm, experts=experts, settings=trained_config(task))


def exact_shares(experts: PatchExperts) -> PatchExperts:
    """Make alphas sum to 1 without rounding, so that all landmarks share one smoothing matrix."""
    unit, alpha = 2.0**20, np.asarray(experts.alpha)
    whole = np.round(alpha.astype(np.float64) * unit)
    largest = whole.argmax(-1)[..., None]
    rest = unit - whole.sum(-1, keepdims=True)
    np.put_along_axis(whole, largest, np.take_along_axis(whole, largest, -1) + rest, -1)
    return replace(experts, alpha=jnp.asarray(whole / unit, alpha.dtype))


def stage_experts(task: Task, neurons: Neurons, i: int) -> PatchExperts:
    """Build the experts of scale i, of every view."""
    recipe = task.recipe
    return experts_of(neurons, recipe.scales[i], recipe.yaws, task.mirror, recipe.windows[i])


def learn_stage(
    task: Task,
    neurons: list[Neurons],
    starts: Starts,
    r: int,
    i: int,
    checkpoint: Checkpoint,
    report: Callable[[TrainingProgress], None],
) -> Neurons:
    """Learn scale i in round r, from its checkpoint on; the error counts from the second round on."""
    recipe, steps = task.recipe, task.recipe.steps[r]
    number = r * len(recipe.scales) + i
    done, total = _steps_before(recipe, r, i), recipe.n_steps
    form = Form(recipe.yaws, task.mirror, recipe.windows[i], recipe.iterations, with_error=r > 0)
    aim = Aim(*(jnp.float32(v) for v in (recipe.scales[i], recipe.target_width, recipe.error_weight)))
    rates = optax.cosine_decay_schedule(recipe.rates[r], steps, FINAL_RATE)
    first: Any = neurons[i]
    current, state, step = checkpoint.resume(number, first, ADAM.init(first))
    while step < steps:
        n = min(CHUNK, steps - step)
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(recipe.seed), number), step)
        drawing, lighting = jax.random.split(key)
        drawn = draw_starts(task, stage_experts(task, current, i), starts, i, n, drawing)
        batches = (
            drawn,
            jax.random.split(lighting, n),
            jnp.asarray(rates(step + jnp.arange(n)), jnp.float32),
        )
        settings = stage_settings(recipe, i)
        current, state, losses = _run(form, task.pdm, task.photos, settings, aim, current, state, batches)
        step += n
        entropy, error = (float(v) for v in np.asarray(losses).mean(0))
        report(TrainingProgress(done + step, total, r, recipe.scales[i], entropy, error))
        checkpoint.save(number, step, [*neurons[:i], current, *neurons[i + 1 :]], state, step == steps)
    return current


def draw_starts(
    task: Task, experts: PatchExperts, starts: Starts, i: int, n_steps: int, key: Array
) -> Starts:
    """Draw displaced starts for ``n_steps`` steps, sorted by the view that is to learn from them.

    Leading axes of the result: steps, learned views, faces of the batch.
    """
    truth = jax.tree.map(lambda a: a[starts.face], task.photos.truth)
    spread = task.first_spread if i == 0 else STAGE_SPREAD
    moving, choosing = jax.random.split(key)
    params = displaced(task.pdm, truth, starts.params, spread, moving)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(choosing)))
    yaw = np.asarray(params.rotation)[:, 1] + YAW_SPREAD * rng.standard_normal(len(starts.face))
    distance = abs(yaw[:, None] - np.asarray(experts.view_centres)[:, 1])
    view = distance.argmin(1)
    n_learned = len(learned_yaws(task.recipe.yaws, task.mirror is not None))
    rows = []
    for v in range(n_learned):
        members = np.flatnonzero(view == v)
        if len(members) == 0:
            members = distance[:, v].argsort()[: task.recipe.batch]
        rows.append(rng.choice(members, (n_steps, task.recipe.batch)))
    return Starts(starts.face, params).take(jnp.asarray(np.stack(rows, axis=1), jnp.int32))


@partial(jax.jit, static_argnums=0)
@in_full_precision
def _run(
    form: Form,
    pdm: PDM,
    photos: TrainingPhotos,
    settings: StageSettings,
    aim: Aim,
    neurons: Neurons,
    state: optax.OptState,
    batches: tuple[Starts, Array, Float[Array, " n_steps"]],
) -> tuple[Neurons, optax.OptState, Float[Array, "n_steps 2"]]:
    """Do an optimiser's step for each batch of starts, key and learning rate; returns the losses before each.

    Stages of one form share the compiled program.
    """

    def loss(neurons, starts, key):
        experts = experts_of(neurons, aim.scale, form.yaws, form.mirror, form.window, learned_only=True)
        losses = view_losses(pdm, experts, form, photos, starts, settings, aim, key)
        entropy, error = (each.mean() for each in losses)
        return entropy + aim.error_weight * error, jnp.stack([entropy, error])

    def step(carry, batch):
        neurons, state = carry
        starts, key, rate = batch
        gradient, losses = jax.grad(loss, has_aux=True)(neurons, starts, key)
        updates, state = ADAM.update(gradient, state)
        neurons = jax.tree.map(lambda a, d: a - rate * d, neurons, updates)
        return (neurons, state), losses

    (neurons, state), losses = jax.lax.scan(step, (neurons, state), batches)
    return neurons, state, losses


def stage_settings(recipe: Recipe, i: int) -> StageSettings:
    """Give the settings of the fit's stage i, without an early end."""
    stage = recipe.fit_config().stages[i]
    values = (stage.reg_factor, stage.sigma, stage.weight_factor, 0.0)
    return StageSettings(*(jnp.asarray(v, jnp.float32) for v in values))


def _steps_before(recipe: Recipe, r: int, i: int) -> int:
    return sum(recipe.steps[:r]) * len(recipe.scales) + recipe.steps[r] * i


def _advance(task: Task, experts: PatchExperts, photos: TrainingPhotos, starts: Starts, i: int) -> Starts:
    recipe = task.recipe
    return advance_starts(
        task.pdm, experts, photos, starts, recipe.windows[i], stage_settings(recipe, i), recipe.iterations
    )


def _error(pdm: PDM, photos: TrainingPhotos, starts: Starts) -> str:
    """Compute the faces' mean landmark error from their best start, in words."""
    shapes = jax.vmap(partial(shape_2d, pdm))(starts.params)
    off = jnp.linalg.norm(shapes - photos.points[starts.face], axis=-1).mean(-1)
    best = np.full(len(photos), np.inf)
    np.minimum.at(best, np.asarray(starts.face), np.asarray(off / photos.truth.scale[starts.face]))
    return f"{best.mean():.2f} units off (median {np.median(best):.2f}) on {len(photos)} faces"
