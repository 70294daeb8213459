"""``jaxclnf calibrate``: the confidence of a model's fits, learned from annotated faces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from jaxclnf.commands import choices, common, options


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

    `jaxclnf train` does so by itself. Faces that the model was trained on are left out.
    """
    from jaxclnf.data.datasets import read_faces
    from jaxclnf.data.evaluate import learned_warning, not_learned
    from jaxclnf.data.markup import parse_groups
    from jaxclnf.models.calibration import SIGNS
    from jaxclnf.models.storage import save_model, weights_dtype
    from jaxclnf.training.calibrate import GOOD, fit_calibration
    from jaxclnf.training.learned_visibility import learn_visibility

    common.check_writable("--out", out, [*datasets, *([Path(model)] if model else [])])
    opened = choices.use_model(model)
    faces = read_faces(datasets)
    typer.echo(faces.summary())
    if landmarks:
        faces = faces.regroup(parse_groups(landmarks))
    common.warn(learned_warning(faces, opened, left_out=bool(opened.learned)))
    faces = not_learned(faces, opened)
    calibration = fit_calibration(opened, faces, draws=draws)
    visibility = learn_visibility(opened, faces) or opened.visibility
    calibrated = replace(opened, calibration=calibration, visibility=visibility)
    save_model(calibrated, out, weights_dtype(opened))
    slopes = ", ".join(f"{name} {w:.2f}" for name, w in zip(SIGNS, calibration.slopes[0], strict=True))
    typer.echo(f"{out}: odds of an error below {GOOD:g} % by {slopes}, and {calibration.bias[0]:.2f}")
