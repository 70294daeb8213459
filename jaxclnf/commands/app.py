"""The application: each sub-command is registered here by one line."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from jaxclnf.commands.bench import bench
from jaxclnf.commands.calibrate import calibrate
from jaxclnf.commands.convert import convert
from jaxclnf.commands.demo import demo
from jaxclnf.commands.eval import evaluate
from jaxclnf.commands.fit import fit_command
from jaxclnf.commands.info import info
from jaxclnf.commands.merge import merge_command
from jaxclnf.commands.models import models
from jaxclnf.commands.registration import add_command
from jaxclnf.commands.sweep import sweep
from jaxclnf.commands.track import track
from jaxclnf.commands.train import train_command

app = typer.Typer(
    help="Facial landmarks and head pose with Constrained Local Neural Fields.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _say_version(wanted: bool | None) -> None:
    if wanted:
        import jaxclnf

        typer.echo(jaxclnf.__version__)
        raise typer.Exit


VersionOption = Annotated[
    bool | None, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version.")
]


@app.callback()
def _options(version: VersionOption = None) -> None:
    """Facial landmarks and head pose with Constrained Local Neural Fields."""


add = partial(add_command, app)
add(fit_command, "fit")
add(track)
add(demo)
add(convert)
add(evaluate, "eval")
add(sweep)
add(merge_command, "merge")
add(bench)
add(train_command, "train")
add(calibrate)
add(info)
app.add_typer(models, name="models")
