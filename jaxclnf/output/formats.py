"""Formats of tables, by the endings of their files.

A new format is a row of ``FORMATS`` and, for the command line, a word in its ``Format``. Runs write rows as
CSV while they go on, and convert them at their end to the format that is asked for.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from jaxclnf.output.csv_cells import csv_text

if TYPE_CHECKING:
    import polars as pl


TEXTS, COUNTS = ("source", "status"), ("frame", "face", "face_id", "success")
"""Columns of words and of whole numbers; all others are numbers."""


class TableFormat(NamedTuple):
    """A format of tables: the writing of rows to a file, and the reading of a file that is not empty."""

    write: Callable[[pl.LazyFrame, IO[bytes]], object]
    read: Callable[[Path], pl.LazyFrame]


def _scan_csv(table: Path) -> pl.LazyFrame:
    import polars as pl

    texts = dict.fromkeys(TEXTS, pl.String)
    # Without glob, since polars would take [, * and ? for patterns.
    return pl.scan_csv(table.absolute(), infer_schema_length=None, schema_overrides=texts, glob=False)


def _read_parquet(table: Path) -> pl.LazyFrame:
    import polars as pl

    return pl.read_parquet(io.BytesIO(table.read_bytes())).lazy()


def _read_jsonl(table: Path) -> pl.LazyFrame:
    import polars as pl

    return pl.read_ndjson(table.read_bytes(), infer_schema_length=None).lazy()


def damage() -> tuple[type[BaseException], ...]:
    """List what polars raises for a damaged table; for damage it did not foresee that is no Exception."""
    import polars as pl

    return pl.exceptions.PolarsError, pl.exceptions.PanicException


FORMATS = {
    ".csv": TableFormat(lambda rows, file: rows.sink_csv(file, float_precision=6), _scan_csv),
    ".parquet": TableFormat(lambda rows, file: rows.sink_parquet(file), _read_parquet),
    ".jsonl": TableFormat(lambda rows, file: rows.sink_ndjson(file), _read_jsonl),
}


def write_rows(rows: pl.LazyFrame, path: Path, suffix: str) -> None:
    """Write rows to a new file in the format of ``suffix``."""
    with path.open("xb") as file:
        FORMATS[suffix].write(rows, file)


def convert_rows(source: Path, target: Path, suffix: str) -> None:
    """Convert the rows of a run, which are CSV, to a new file in the format of ``suffix``."""
    import polars as pl

    texts, counts = dict.fromkeys(TEXTS, pl.String), dict.fromkeys(COUNTS, pl.Int64)
    with source.open(encoding="utf-8", newline="") as file:
        names = next(csv.reader(file))
    kinds = dict.fromkeys(names, pl.Float64) | {n: k for n, k in (texts | counts).items() if n in names}
    rows = pl.scan_csv(source.absolute(), schema=kinds, glob=False)  # no name is a pattern
    write_rows(rows, target, suffix)


def convert_back(source: Path, target: Path) -> None:
    """Convert a table to a new file of rows as runs write them; raises ValueError for a damaged one."""
    if source.suffix == ".csv":
        shutil.copyfile(source, target)
        with target.open("rb+") as file:
            if file.seek(0, os.SEEK_END) and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                file.write(b"\n")  # which some editors leave out
        return

    try:
        rows = FORMATS[source.suffix].read(source).collect()
    except damage():
        raise ValueError(f"{source} is damaged; remove it, or leave out --resume to begin anew") from None
    with target.open("xb") as file:
        file.write(csv_text([rows.columns]).encode())
        rows.write_csv(file, include_header=False, quote_style="non_numeric")
