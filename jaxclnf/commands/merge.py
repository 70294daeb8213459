"""``jaxclnf merge``: the parts of a run on a cluster, merged into one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jaxclnf.commands import messages
from jaxclnf.commands.interrupt import on_interrupt
from jaxclnf.wording import counted


def merge_command(
    folder: Annotated[str, typer.Argument(help="The --out of a run on a cluster, or one folder of parts.")],
    table: Annotated[Path, typer.Argument(help="The file to write: .csv, .parquet or .jsonl.")],
) -> None:
    """Merge the parts that a run on a cluster wrote into one table."""
    from jaxclnf.cluster.merge import merge as merge_parts

    on_interrupt(f"stopped; {table} was not written")  # copies of parts from elsewhere are removed, too
    n_rows, missing = merge_parts(folder, table)
    typer.echo(f"{table}: {counted(n_rows, 'row')}")
    if missing:
        messages.warn(f"{counted(missing, 'shard')} of the run missing in the table; --resume does the rest")
