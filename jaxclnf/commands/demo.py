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

    photo, with_eyes = portrait_file(), "openface-general"
    gaze = model is None and with_eyes in installed(read_manifest())
    _forget_broken(out, photo)
    fit_command([str(photo)], model=with_eyes if gaze else model, out=str(out), gaze=gaze)
    if model is None and not gaze:
        typer.echo("gaze needs OpenFace's models, for research: `jaxclnf models install`, then again")
    typer.echo(f"{out / 'grace_hopper.png'}: the picture")


def _forget_broken(out: Path, photo: Path) -> None:
    """Remove what a stopped demo left unfinished, but no rows of other photos: `fit` tells of those."""
    from jaxclnf.output.earlier_tables import holds_only
    from jaxclnf.output.run_folder import OutputFolder
    from jaxclnf.output.table_runs import unfinished_names

    rows, *beside = unfinished_names("landmarks")
    if not (out / rows).is_file():
        return
    with OutputFolder(out) as folder:  # which another run may be writing to
        folder.claim(rows, *beside)
        if holds_only(out / rows, "source", photo):
            for name in (rows, *beside):
                (out / name).unlink(missing_ok=True)
