"""``jaxclnf train``: your own model from annotated faces."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from jaxclnf.commands import options, outputs
from jaxclnf.commands.annotated import annotated_faces, end_without
from jaxclnf.commands.calibrate import learned_calibration, learned_visibility
from jaxclnf.commands.train_networks import check_markup, networks_further, with_networks
from jaxclnf.commands.train_patches import learn_patches, with_patches_further
from jaxclnf.commands.train_recipes import asked_recipes, names_of
from jaxclnf.commands.train_run import PATCHES, TrainRun
from jaxclnf.wording import counted, some

if TYPE_CHECKING:
    from jaxclnf.data.datasets import Faces
    from jaxclnf.training.patch_recipe import Recipe
    from jaxclnf.types import Calibration, Model

DATA_TERMS = "after the terms of the training data"
"""The licence of a model for which its maker gives none."""

_UNMEASURED = (
    "How sure its networks are was not measured, for want of faces that are held back, new to it and of a "
    "markup with eye corners:"
)
_STAYS = "for new ones it is a guess.", "it stays as in the model of --from."
"""What becomes of that of new networks, and of that of networks that learned further."""


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
    from jaxclnf.data.evaluate import check_annotated
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
    check_markup(faces, networks)
    learned, held_back = faces.split(recipe.held_back, recipe.seed)
    identity, before = _identity(faces, recipe), None
    if from_ is not None:
        before = open_model(from_)
        check_annotated(before, faces, "taught further")
        held_back = held_back.take((~held_back.learned_by(before)).nonzero()[0])
        identity = f"{identity} {fingerprint(before)}"
    run = TrainRun(learned, held_back, recipe, networks, out, identity)
    refined = (networks or before is not None) and "ccnf" in names_of(experts)
    parts = [*networks, *([""] if before is None else []), *([PATCHES] if refined else [])]
    for part in parts:  # one of another run is told of now, and not after hours
        run.checkpoint(part).check()
    model = _from_nothing(run) if before is None else networks_further(before, run)
    model = with_patches_further(model, run) if refined else model
    if has_network(model):
        model = _measured(model, run, further=before is not None)
    source = "jaxclnf train " + " ".join(path.name for path in datasets)
    _save(model, run, _texts(name or out.stem, source, licence, before))
    _remove_checkpoints(out, [run.checkpoint_file(part) for part in parts])
    end_without(faces.refused, f"{out} was learned")


def _from_nothing(run: TrainRun) -> Model:
    """Learn a model from nothing."""
    typer.echo(f"{counted(len(run.learned), 'face')} to learn from; {len(run.held_back)} held back.")
    model = learn_patches(run)
    return with_networks(model, run) if run.networks else model


def _measured(model: Model, run: TrainRun, further: bool) -> Model:
    """Measure, on faces that were held back, how sure networks are and what they tell of hidden landmarks.

    Without such faces, or eyes by which errors are measured, both stay what they were.
    """
    from jaxclnf.training.conv.learned_spread import with_learned_spreads

    if not len(run.held_back) or run.held_back.eye_distances is None:
        if run.networks:
            typer.echo(f"{_UNMEASURED} {_STAYS[further]}")
        return model
    model = with_learned_spreads(model, run.held_back)
    return replace(model, visibility=learned_visibility(model, run.held_back) or model.visibility)


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


def _remove_checkpoints(out: Path, checkpoints: list[Path]) -> None:
    """Remove the checkpoints of a model that is written, unless its file cannot be opened."""
    from jaxclnf.models.storage import load_model

    try:
        load_model(out)
    except ValueError as error:
        kept = some([path for path in checkpoints if path.exists()]) or "no checkpoint"
        raise ValueError(
            f"the model that was written cannot be opened: {error}. What it learned is kept in {kept}; "
            "please report this with your settings"
        ) from None
    for path in checkpoints:
        path.unlink(missing_ok=True)


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


def _identity(faces: Faces, recipe: Recipe) -> str:
    """Describe a run by its settings and its faces, by which its checkpoint is recognised."""
    told = hashlib.sha256(faces.points.tobytes() + b"".join(faces.digests))
    if faces.boxes is not None:
        told.update(faces.boxes.tobytes())
    return f"{recipe} {told.hexdigest()}"
