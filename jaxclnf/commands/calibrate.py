"""``jaxclnf calibrate``: the confidence of a model's fits, learned from annotated faces."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jaxclnf.commands import choices, messages, options, outputs
from jaxclnf.commands.annotated import annotated_faces, end_without, say_faces
from jaxclnf.commands.progress_bars import progress_bar
from jaxclnf.wording import counted

if TYPE_CHECKING:
    from jaxclnf.data.datasets import Faces
    from jaxclnf.types import Calibration, Model, Visibility

FEW = 50
"""Fewer faces than this say little about how often fits of other faces are right."""

ENDINGS = "patch experts", "a network"
"""What was the last to look at a face, in the order of a calibration's rows."""


def calibrate(
    datasets: options.DatasetsArgument,
    out: options.ModelFileOption,
    model: options.ModelOption = None,
    landmarks: options.LandmarksOption = None,
    draws: Annotated[
        int,
        typer.Option(min=1, max=20, help="How often each photo is made harder, by chance."),
    ] = 1,
) -> None:
    """Learn a model's confidence from annotated faces, and write a copy of the model with it.

    `jaxclnf train` does so by itself. Faces that the model was trained on are left out. Faces that
    cannot be used make the exit status 1.
    """
    from jaxclnf.data.evaluate import learned_warning, not_learned
    from jaxclnf.data.markup import parse_groups
    from jaxclnf.models.calibration import SIGNS
    from jaxclnf.models.storage import save_model, weights_dtype
    from jaxclnf.training.calibrate import GOOD

    outputs.check_model_out("--out", out, [*datasets, *([Path(model)] if model else [])])
    opened = choices.use_model(model)
    faces = annotated_faces(datasets)
    say_faces(faces)
    if landmarks:
        faces = faces.regroup(parse_groups(landmarks))
    messages.warn(learned_warning(faces, opened, left_out=bool(opened.learned)))
    faces = not_learned(faces, opened)
    calibration = learned_calibration(opened, faces, draws)
    visibility = learned_visibility(opened, faces) or opened.visibility
    calibrated = replace(opened, calibration=calibration, visibility=visibility)
    save_model(calibrated, out, weights_dtype(opened))
    typer.echo(f"{out}: its confidence was learned from {counted(len(faces), 'face')}")
    for last, weights, bias in zip(ENDINGS, calibration.slopes, calibration.bias, strict=True):
        slopes = ", ".join(f"{w:.2f} {name}" for name, w in zip(SIGNS, weights, strict=True))
        typer.echo(f"log odds of an error below {GOOD:g} %, {last} last, the sum of: {slopes}, {bias:.2f}")
    end_without(faces.refused, "the confidence was learned")


def learned_calibration(model: Model, faces: Faces, draws: int = 1) -> Calibration:
    """Learn a model's calibration from faces, with a bar that shows how far it is."""
    from jaxclnf.training.calibrate import chosen, fit_calibration

    if len(faces) < FEW:
        messages.warn(
            f"a confidence is learned from {counted(len(faces), 'face')} alone, and is a rough guess; "
            "it needs some hundreds"
        )
    with progress_bar("faces") as bar:
        line = bar.add_task("confidence", total=draws * len(chosen(len(faces))))
        return fit_calibration(model, faces, None, draws, partial(bar.advance, line))


def learned_visibility(model: Model, faces: Faces) -> Visibility | None:
    """Learn what tells a model's hidden landmarks, with a bar that shows how far it is, if anything does."""
    from jaxclnf.training.learned_visibility import learn_visibility, n_fitted

    if not (n_faces := n_fitted(model, faces)):
        return None
    with progress_bar("faces") as bar:
        line = bar.add_task("visibility", total=n_faces)
        return learn_visibility(model, faces, partial(bar.advance, line))
