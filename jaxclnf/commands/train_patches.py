"""The part of ``jaxclnf train`` that teaches a PDM and patch experts, new ones or a model's further."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from jaxclnf.commands.progress_bars import progress_bar
from jaxclnf.commands.train_run import PATCHES, TrainRun

if TYPE_CHECKING:
    from jaxclnf.data.datasets import Faces
    from jaxclnf.training.patch_recipe import Recipe
    from jaxclnf.types import PDM, Model


def learn_patches(run: TrainRun) -> Model:
    """Learn a PDM and patch experts from the run's checkpoint on.

    Raises ValueError if there are too few faces to learn from.
    """
    from jaxclnf.training.patch_crops import gather
    from jaxclnf.training.patch_experts import Task, train

    learned, held_back, recipe, *_ = run
    _check_enough(learned, held_back, recipe)
    with progress_bar("steps") as bar:
        pdm = _learn_pdm(learned, recipe.modes or None, bar)
        tests = gather(held_back, pdm, with_mirrored=False) if len(held_back) else None
        task = Task(recipe, pdm, learned.mirror, gather(learned, pdm), tests)
        line = bar.add_task("experts", total=recipe.n_steps)

        def report(progress) -> None:
            losses = f"cross-entropy {progress.cross_entropy:.3f}"
            if progress.error:
                losses += f", error {progress.error:.2f}"
            text = f"round {progress.round + 1}, scale {progress.scale:g}: {losses}"
            bar.update(line, completed=progress.step, description=text)

        note = partial(bar.console.print, soft_wrap=True, highlight=False)
        return train(task, run.checkpoint(), report, note)


def with_patches_further(model: Model, run: TrainRun) -> Model:
    """Teach the patch experts further, from where the network's fits end."""
    from jaxclnf.training.patches_further import patches_further

    recipe, checkpoint = run.recipe, run.checkpoint(PATCHES)
    with progress_bar("steps") as bar:
        line = bar.add_task("patch experts, from where networks end", total=recipe.further_steps)

        def report(progress) -> None:
            text = f"patch experts: cross-entropy {progress.cross_entropy:.3f}, error {progress.error:.2f}"
            bar.update(line, completed=progress.step - 1, description=text)

        return patches_further(model, run.learned, recipe, checkpoint, report)


def _check_enough(learned: Faces, held_back: Faces, recipe: Recipe) -> None:
    """Raise ValueError, which names the settings that matter, if there are too few faces to learn from."""
    from jaxclnf.training.pdm import check_enough_faces

    try:
        check_enough_faces(len(learned), recipe.modes, "--set modes")
    except ValueError as error:
        held = f" {len(held_back)} more are held back, none with --set held_back=0." if len(held_back) else ""
        raise ValueError(f"{error}{held}") from None


def _learn_pdm(faces: Faces, modes: int | None, bar: Any) -> PDM:
    from jaxclnf.training.pdm import learn_pdm

    line = bar.add_task("point distribution model", total=None)

    def on_step(done: int, total: int) -> None:
        bar.update(line, completed=done, total=total)

    return learn_pdm(faces.points, modes, faces.mirror, faces.eye_distances, on_step=on_step)
