"""``jaxclnf demo``: a fit from photo to picture, on a photo that everybody has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jaxclnf.commands import options
from jaxclnf.commands.fit import fit_command


def demo(
    model: options.ModelOption = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the table, the picture and report.html.")
    ] = Path("demo"),
) -> None:
    """Find the landmarks of Rear Admiral Grace Hopper, on the photo that comes with matplotlib."""
    from jaxclnf.media.portrait import portrait_file
    from jaxclnf.models.install import installed
    from jaxclnf.models.manifest import read_manifest

    with_eyes = "openface-general"
    gaze = model is None and with_eyes in installed(read_manifest())
    fit_command([str(portrait_file())], model=with_eyes if gaze else model, out=str(out), gaze=gaze)
    if model is None and not gaze:
        typer.echo("gaze needs OpenFace's models, for research: `jaxclnf models install`, then again")
    typer.echo(f"{out / 'grace_hopper.png'}: the picture")
