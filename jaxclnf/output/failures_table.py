"""The table of what a run could not use, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jaxclnf.media.failures import Failure
from jaxclnf.output.csv_cells import csv_text, path_cell
from jaxclnf.whole_files import write_whole


def write_failures(path: Path, failures: Sequence[Failure]) -> None:
    """Write the failures of a run as a table; without failures there is none."""
    if not failures:
        path.unlink(missing_ok=True)
        return
    rows = [Failure._fields, *(tuple(map(path_cell, failure)) for failure in failures)]
    write_whole(path, csv_text(rows).encode())
