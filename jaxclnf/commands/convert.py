"""``jaxclnf convert``: OpenFace's model files into one .npz."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert(
    source: Annotated[Path, typer.Argument(help="OpenFace's main_clnf_*.txt or clnf_*.txt.")],
    out: Annotated[Path, typer.Argument(help="The .npz to write.")],
) -> None:
    """Convert OpenFace's model files into one .npz, which opens faster and is a single file."""
    from jaxclnf.commands import outputs
    from jaxclnf.models.openface import convert_openface
    from jaxclnf.models.storage import is_saved_model, save_model

    outputs.check_model_out("OUT", out, [source])
    if is_saved_model(source):
        raise ValueError(f"{source} is a .npz, which needs no conversion; give OpenFace's main_clnf_*.txt")
    save_model(convert_openface(source), out)
    typer.echo(f"{source} -> {out}")
