"""Tables of earlier runs: a run that has nothing in common with one does not replace it."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from jaxclnf.output.csv_cells import path_cell
from jaxclnf.output.formats import FORMATS
from jaxclnf.wording import counted


def check_shares(table: Path, key: str, sources: Iterable[Path], folder: str = "") -> None:
    """Raise ValueError for a table that has rows, none of which is of one of these sources.

    ``key`` is the column of the sources; ``folder`` is where the relative ones among them were named.
    """
    if not table.exists():
        return
    now = {_absolute(path_cell(str(source)), "") for source in sources}
    others = set()
    for source in _column(table, key):
        if _absolute(source, folder) in now:
            return
        others.add(source)
    if others:
        photos = counted(len(others), "other photo")
        raise ValueError(f"{table} holds {photos} and would be lost; choose another --out")


def check_columns(table: Path, columns: Sequence[str]) -> None:
    """Raise ValueError for a file that holds something else than a table with these columns."""
    if table.exists() and table.stat().st_size and _columns(table) != list(columns):
        raise ValueError(f"{table} holds other columns and would be lost; choose another name")


def _columns(table: Path) -> list[str]:
    """Name a table's columns; none of what is no table."""
    import polars as pl

    with suppress(Exception):  # of polars, which has many for damaged files
        if table.suffix == ".parquet":
            return list(pl.read_parquet_schema(table))
        with table.open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file)) if table.suffix == ".csv" else list(json.loads(file.readline()))
    return []


def has_rows(table: Path, key: str) -> bool:
    """Tell whether a file is a table with at least one row."""
    return table.exists() and next(_column(table, key), None) is not None


def holds_only(table: Path, key: str, source: Path) -> bool:
    """Tell whether all rows of a table, if it has any, are of one source."""
    return all(each == path_cell(str(source)) for each in _column(table, key))


def _absolute(source: str, folder: str) -> str:
    return os.path.abspath(os.path.join(folder, source))


def _column(table: Path, key: str) -> Iterator[str]:
    """Yield the values of a column; nothing of what cannot be read."""
    if table.suffix != ".csv":
        with suppress(Exception):  # of polars, which has many for damaged files
            yield from FORMATS[table.suffix].read(table).select(key).collect()[key]
        return
    with table.open(encoding="utf-8", errors="surrogateescape", newline="") as file, suppress(csv.Error):
        for row in csv.DictReader(file):
            yield row.get(key) or ""
