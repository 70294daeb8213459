"""``jaxclnf train``: your own model from annotated faces."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from jaxclnf.commands import options, outputs
from jaxclnf.commands.annotated import annotated_faces, end_without
from jaxclnf.commands.calibrate import learned_calibration, learned_visibility
from jaxclnf.commands.progress_bars import progress_bar
from jaxclnf.commands.train_networks import networks_further, with_networks
from jaxclnf.commands.train_recipes import asked_recipes, names_of
from jaxclnf.wording import counted

if TYPE_CHECKING:
    from jaxclnf.data.datasets import Faces
    from jaxclnf.training.checkpoint import Checkpoint
    from jaxclnf.training.conv.network_recipe import ConvRecipe
    from jaxclnf.training.patch_recipe import Recipe
    from jaxclnf.types import PDM, Calibration, Model

DATA_TERMS = "after the terms of the training data"
"""The licence of a model for which its maker gives none."""


def train_command(
    datasets: options.DatasetsArgument,
    out: options.ModelFileOption,
    landmarks: Annotated[
        str | None,
        typer.Option(help="The dataset's landmarks to learn: 36+39,42+45,30,48,54 (+ averages)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same model on the same machine.")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of Recipe: neurons=16, steps=500,200, ...; of networks: conv.steps=2000, ...",
        ),
    ] = None,
    experts: Annotated[
        str,
        typer.Option(
            help="What to learn, with commas: ccnf (patch experts), conv (a network for the whole face), "
            "large and fast (networks for the presets best and fast). Networks take hours without a GPU."
        ),
    ] = "ccnf",
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A model to go on from: all of it stays, but its experts in --experts learn further.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="The model's name, kept in its file.")] = "",
    licence: Annotated[str, typer.Option(help="The terms of its use, kept in its file.")] = "",
) -> None:
    """Learn a PDM and experts from annotated faces; a stopped run goes on where it was.

    Until a run is done its state is beside the model, in MODEL.checkpoint.npz. Faces that cannot be used
    make the exit status 1.
    """
    from jaxclnf.data.markup import parse_groups
    from jaxclnf.models.fingerprint import fingerprint
    from jaxclnf.models.network_presets import has_network
    from jaxclnf.models.opening import open_model

    recipe, networks = asked_recipes(experts, set_ or [], seed, further=from_ is not None)
    outputs.check_model_out("--out", out, datasets if from_ is None else [*datasets, from_])
    faces = annotated_faces(datasets)
    typer.echo(faces.summary())
    if landmarks:
        faces = faces.regroup(parse_groups(landmarks))
    learned, held_back = faces.split(recipe.held_back, recipe.seed)
    identity, before = _identity(faces, recipe), None
    if from_ is not None:
        before = open_model(from_)
        held_back = held_back.take((~held_back.learned_by(before)).nonzero()[0])
        identity = f"{identity} {fingerprint(before)}"
    run = TrainRun(learned, held_back, recipe, networks, out, identity)
    model = (
        _from_nothing(run) if before is None else networks_further(before, learned, networks, out, identity)
    )
    refined = (networks or before is not None) and "ccnf" in names_of(experts)
    model = _patches_further(model, run) if refined else model
    model = _measured(model, held_back) if has_network(model) and len(held_back) else model
    source = "jaxclnf train " + " ".join(path.name for path in datasets)
    _save(model, run, _texts(name or out.stem, source, licence, before))
    for part in (*networks, *([""] if before is None else []), *(["patches"] if refined else [])):
        run.checkpoint_file(part).unlink(missing_ok=True)
    end_without(faces.refused, f"{out} was learned")


class TrainRun(NamedTuple):
    """What a run learns from and by which recipes, its model's file, and what its checkpoints know it by."""

    learned: Faces
    held_back: Faces
    recipe: Recipe
    networks: dict[str, ConvRecipe]
    out: Path
    identity: str

    def checkpoint_file(self, part: str = "") -> Path:
        """Name the file in which a part of the run, a network or the patch experts, is gone on with."""
        from jaxclnf.training.checkpoint import checkpoint_of

        return checkpoint_of(self.out, part)

    def checkpoint(self, part: str = "") -> Checkpoint:
        """Open the checkpoint of a part of the run that is not a network."""
        from jaxclnf.training.checkpoint import Checkpoint

        return Checkpoint(self.checkpoint_file(part), self.identity)


def _from_nothing(run: TrainRun) -> Model:
    """Learn a model from nothing."""
    learned, held_back = run.learned, run.held_back
    typer.echo(f"{counted(len(learned), 'face')} to learn from; {len(held_back)} held back.")
    _check_enough(learned, held_back, run.recipe)
    model = _learn(run)
    if not run.networks:
        return model
    return with_networks(model, learned, run.networks, run.out, run.identity)


def _check_enough(learned: Faces, held_back: Faces, recipe: Recipe) -> None:
    """Raise ValueError, which names the settings that matter, if there are too few faces to learn from."""
    from jaxclnf.training.pdm import check_enough_faces

    try:
        check_enough_faces(len(learned), recipe.modes, "--set modes")
    except ValueError as error:
        held = f" {len(held_back)} more are held back, none with --set held_back=0." if len(held_back) else ""
        raise ValueError(f"{error}{held}") from None


def _patches_further(model: Model, run: TrainRun) -> Model:
    """Teach the patch experts further, from where the network's fits end."""
    from jaxclnf.training.patches_further import patches_further

    recipe, checkpoint = run.recipe, run.checkpoint("patches")
    with progress_bar("steps") as bar:
        line = bar.add_task("patch experts, from where networks end", total=recipe.further_steps)

        def report(progress) -> None:
            text = f"patch experts: cross-entropy {progress.cross_entropy:.3f}, error {progress.error:.2f}"
            bar.update(line, completed=progress.step - 1, description=text)

        return patches_further(model, run.learned, recipe, checkpoint, report)


def _measured(model: Model, held_back: Faces) -> Model:
    """Measure, on faces that were held back, how sure networks are and what they tell of hidden landmarks."""
    from jaxclnf.training.conv.learned_spread import with_learned_spreads

    model = with_learned_spreads(model, held_back)
    return replace(model, visibility=learned_visibility(model, held_back))


class Texts(NamedTuple):
    """What a model's file says of it."""

    name: str
    source: str
    licence: str


def _texts(name: str, source: str, licence: str, before: Model | None) -> Texts:
    """Make the texts of a model: a model that it went on from is named, and its terms stay in force."""
    if before is None:
        return Texts(name, source, licence or DATA_TERMS)
    was = before.provenance
    origin = " ".join(filter(None, (was.name or "a model without a name", was.source and f"({was.source})")))
    terms = was.licence if DATA_TERMS in was.licence else "; ".join(filter(None, (was.licence, DATA_TERMS)))
    return Texts(name, f"{source} --from {origin}", licence or terms)


def _save(model: Model, run: TrainRun, texts: Texts) -> None:
    """Write the model with its origin and calibration."""
    import numpy as np

    from jaxclnf.models.storage import save_model
    from jaxclnf.types import Provenance

    out = run.out
    provenance = Provenance(*texts, model.provenance.learned | set(run.learned.digests))
    model = replace(model, provenance=provenance, calibration=_calibration(model, run.held_back))
    save_model(model, out, np.float16)
    experts = counted(len(model.experts), "expert")  # the patches' of each scale, and networks
    typer.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {experts}")


def _calibration(model: Model, held_back: Faces) -> Calibration | None:
    """Calibrate the model on faces that it was not trained on; None if there are too few."""
    try:
        if not len(held_back):
            raise ValueError("no faces were held back")
        calibration = learned_calibration(model, held_back)
    except ValueError as error:
        typer.echo(f"How sure its fits are stays unknown: {error}.")
        return None
    typer.echo(f"How sure its fits are was learned on {len(held_back)} faces held back.")
    return calibration


def _learn(run: TrainRun) -> Model:
    """Learn a PDM and patch experts from the run's checkpoint on."""
    from jaxclnf.training.patch_crops import gather
    from jaxclnf.training.patch_experts import Task, train

    learned, held_back, recipe, *_ = run
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


def _learn_pdm(faces: Faces, modes: int | None, bar: Any) -> PDM:
    from jaxclnf.training.pdm import learn_pdm

    line = bar.add_task("point distribution model", total=None)

    def on_step(done: int, total: int) -> None:
        bar.update(line, completed=done, total=total)

    return learn_pdm(faces.points, modes, faces.mirror, faces.eye_distances, on_step=on_step)


def _identity(faces: Faces, recipe: Recipe) -> str:
    """Describe a run by its settings and its faces, by which its checkpoint is recognised."""
    return f"{recipe} {hashlib.sha256(faces.points.tobytes()).hexdigest()}"
