"""Patch experts that learn further, from where a network's fits end, on photos and warped copies of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from jaxclnf.batch.many_faces import fit_stream
from jaxclnf.data.datasets import Faces
from jaxclnf.models.network_presets import finest_place
from jaxclnf.training.checkpoint import Checkpoint
from jaxclnf.training.neurons import neurons_of, yaws_of
from jaxclnf.training.patch_crops import TrainingPhotos, gather
from jaxclnf.training.patch_experts import Task, TrainingProgress, exact_shares, learn_stage, stage_experts
from jaxclnf.training.patch_recipe import Recipe
from jaxclnf.training.starts import NETWORK_SPREAD, Starts
from jaxclnf.types import ConvExperts, Model, PatchExperts

_SIGMA, _REG_FACTOR = 1.5, 5.0  # of the stage that the gradient runs through


def patches_further(
    model: Model,
    faces: Faces,
    recipe: Recipe,
    checkpoint: Checkpoint,
    report: Callable[[TrainingProgress], None],
) -> Model:
    """Teach the finest patch experts of a model further; raises ValueError if it has none, or no network.

    They learn the landmark error after their stage, begun where the network of the model's settings ends.
    """
    place, experts = finest_patches(model)
    photos = gather(faces, model.pdm, n_warped=recipe.warped, seed=recipe.seed)
    task = Task(recipe_for(recipe, experts), model.pdm, faces.mirror, photos, None, NETWORK_SPREAD)
    (neurons,) = checkpoint.begin([neurons_of(experts, faces.mirror)])
    if checkpoint.unfinished(1):
        neurons = learn_stage(task, [neurons], network_ends(model, photos), 1, 0, checkpoint, report)
    learned = exact_shares(stage_experts(task, neurons, 0))
    return replace(model, experts=(*model.experts[:place], learned, *model.experts[place + 1 :]))


def finest_patches(model: Model) -> tuple[int, PatchExperts]:
    """Find the finest patch experts of a model, and their place among all experts."""
    for place in finest_place(model):
        experts = model.experts[place]
        if isinstance(experts, PatchExperts):
            return place, experts
    raise ValueError("the model has no patch experts that could learn further")


def recipe_for(recipe: Recipe, experts: PatchExperts) -> Recipe:
    """Give the recipe by which experts of these sizes learn further: one scale, in a second round."""
    return replace(
        recipe,
        scales=(float(experts.patch_scale),),
        windows=(max(experts.edges, default=recipe.windows[-1]),),
        support=experts.support[0],
        neurons=experts.weights.shape[2],
        yaws=yaws_of(experts),
        edges=bool(experts.edges),
        sigmas=(_SIGMA,),
        reg_factors=(_REG_FACTOR,),
        steps=(1, recipe.further_steps),
        rates=(recipe.further_rate, recipe.further_rate),
    )


def network_ends(model: Model, photos: TrainingPhotos) -> Starts:
    """Fit every face by the stages of the model's network alone."""
    stages = model.stages_of(model.settings)
    whole = tuple(stage for _, stage, experts in stages if isinstance(experts, ConvExperts))
    if not whole:
        raise ValueError("patch experts learn further from where a network ends; this model has none")
    fits = list(fit_stream(model, _seen(photos), replace(model.settings, stages=whole)))
    params = jax.tree.map(lambda *rows: jnp.asarray(np.stack(rows)), *(fit.params for fit in fits))
    return Starts(jnp.arange(len(photos), dtype=jnp.int32), params)


def _seen(photos: TrainingPhotos) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give each face's picture, mirrored if the face is, and its box."""
    pixels, *rows = (np.asarray(a) for a in (photos.pixels, photos.photo, photos.mirrored, photos.boxes))
    for photo, mirrored, box in zip(*rows, strict=True):
        own = pixels[photo]
        yield (np.ascontiguousarray(own[:, ::-1]) if mirrored else own), box
