"""Annotated faces, of the sub-commands that learn from them or measure with them: read, and told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from jaxclnf.commands import messages
from jaxclnf.commands.progress_bars import progress_bar
from jaxclnf.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jaxclnf.data.datasets import Faces, Refusal


def annotated_faces(datasets: Sequence[Path]) -> Faces:
    """Read annotated faces, with a bar that shows how far it is."""
    from jaxclnf.data.datasets import read_faces

    with progress_bar("faces") as bar:
        line = bar.add_task("reading", total=None)
        return read_faces(datasets, on_face=lambda n, of: bar.update(line, completed=n, total=of))


def say_faces(faces: Faces) -> None:
    """Print what was read of annotated faces, and what was refused; and where fits start without boxes."""
    typer.echo(faces.summary())
    if faces.boxes is None:
        typer.echo("Not every face has a box: fits start from boxes tight around the true landmarks.")


def end_without(refused: Sequence[Refusal], result: str) -> None:
    """End with status 1 if ``result`` is not of all annotated faces; doubles of others are no loss."""
    if n_lost := sum(not each.is_double for each in refused):
        them = "it" if n_lost == 1 else "them"
        messages.warn(f"{counted(n_lost, 'annotated face')} could not be used, and {result} without {them}")
        raise typer.Exit(1)
