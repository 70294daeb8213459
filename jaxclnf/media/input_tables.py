"""Tables that come with photos: CSV as people and spreadsheets write it, and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jaxclnf.media.text_files import read_text

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".csv", ".parquet")


class Row(NamedTuple):
    """What a row of a table says of a file."""

    place: str  # of the row in the table, for messages
    file: str
    cells: tuple[str | None, ...]  # of further columns; None where there is nothing
    problem: str = ""  # why its cells are not to be trusted


def file_rows(
    path: Path, names: Sequence[str] = (), optional: Sequence[str] = ()
) -> tuple[list[Row], Callable[[str], float]]:
    """Read the columns ``file``, ``names`` and ``optional``, and give a function from a cell to its number.

    Optional columns may be missing, and rows of a CSV may end before all columns have a cell. A CSV has
    commas, tabs or semicolons between its cells; with the latter two numbers may have decimal commas. A row
    that has more cells than the header has a ``problem``. Capitals in the names of columns do not count.
    Raises ValueError if a column is missing, there twice or of another kind, if a row names no file, and for
    a table that is damaged.
    """
    columns = _Columns(("file", *names), optional)
    if path.suffix.lower() == ".parquet":
        return list(_in_parquet(path, columns)), float
    text = read_text(path)
    between = _between(text)
    rows = list(_in_csv(text, between, columns))
    return rows, float if between == "," else lambda cell: float(cell.replace(",", "."))


class _Columns(NamedTuple):
    """Names of the columns that are read; the first is of the files."""

    names: tuple[str, ...]
    optional: Sequence[str]

    def places(self, header: Sequence[str]) -> list[int | None]:
        """Number the columns in a table's header; optional ones that are not there have None."""
        known = [name.strip().lower() for name in header]
        if missing := [name for name in self.names if name not in known]:
            raise ValueError(f"it has no column {', '.join(missing)}")
        wanted = *self.names, *self.optional
        if several := [name for name in wanted if known.count(name) > 1]:
            raise ValueError(f"it has more than one column {several[0]}")
        return [known.index(name) if name in known else None for name in wanted]


def _in_parquet(path: Path, columns: _Columns) -> Iterator[Row]:
    table = _read_parquet(path)
    cells = [[None] * len(table) if i is None else _texts(table[:, i]) for i in columns.places(table.columns)]
    for number, row in enumerate(zip(*cells, strict=True), 1):
        yield _row(f"row {number}", row)


def _read_parquet(path: Path) -> pl.DataFrame:
    import polars as pl

    try:
        return pl.read_parquet(io.BytesIO(path.read_bytes()))  # a path would be a pattern
    except pl.exceptions.PanicException:  # which is no Exception: polars did not foresee such damage
        raise ValueError("it is damaged") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(str(error).splitlines()[0]) from None


def _texts(column: pl.Series) -> list[str | None]:
    import polars as pl

    try:
        return column.cast(pl.String).to_list()
    except pl.exceptions.PolarsError:
        raise ValueError(
            f"its column {column.name} holds {column.dtype}, which is no text; expected texts or numbers"
        ) from None


def _between(text: str) -> str:
    """Find the separator of a CSV's cells."""
    first = text.splitlines()[0] if text.strip() else ""
    return max(",;\t", key=first.count)


def _in_csv(text: str, between: str, columns: _Columns) -> Iterator[Row]:
    is_spaced = f"{between} " in text.partition("\n")[0]  # as `file, x, y, w, h`
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=between, skipinitialspace=is_spaced)
    begun = 0
    try:
        header = next(rows, [])
        at = columns.places(header)
        begun = rows.line_num
        for row in rows:
            if any(cell.strip() for cell in row):
                cells = tuple(None if i is None or i >= len(row) else row[i] for i in at)
                yield _row(f"line {rows.line_num}", cells, _excess(row, len(header), between))
            begun = rows.line_num
    except csv.Error as error:
        raise ValueError(
            f"what begins in line {begun + 1} has no end ({error}); is a quote not closed?"
        ) from None


def _excess(row: Sequence[str], n_columns: int, between: str) -> str:
    """Say that a row has more cells than there are columns; nothing if it has not."""
    n_cells = max(i for i, cell in enumerate(row, 1) if cell.strip())
    if n_cells <= n_columns:
        return ""
    cause = "are its commas decimal commas?" if between == "," else "does a cell lack its quotes?"
    return f"has {n_cells} cells, the header {n_columns}; {cause}"


def _row(place: str, cells: tuple[str | None, ...], excess: str = "") -> Row:
    file, *others = cells
    if not file:
        raise ValueError(f"{place} has no file")
    return Row(place, file, tuple(others), excess and f"{place} {excess}")
