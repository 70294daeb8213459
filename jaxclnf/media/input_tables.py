"""Tables that come with photos: CSV as people and spreadsheets write it, and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from jaxclnf.media.text_files import read_text

SUFFIXES = (".csv", ".parquet")
Row = tuple[str, ...]


def column_cells(
    path: Path, names: Sequence[str], optional: Sequence[str] = ()
) -> tuple[list[Row], Callable[[str], float]]:
    """Read the cells of some columns, row by row, and give a function from a cell to its number.

    Those of ``optional`` columns come last, and are empty in a table without such a column. A CSV has
    commas, tabs or semicolons between its cells; with the latter two numbers may have decimal commas.
    Capitals in the names of columns do not count. Raises ValueError if a column is missing, or there twice.
    """
    if path.suffix.lower() == ".parquet":
        return list(_in_parquet(path, names, optional)), float
    text = read_text(path)
    between = _between(text)
    rows = list(_in_csv(text, between, names, optional))
    return rows, float if between == "," else lambda cell: float(cell.replace(",", "."))


def _in_parquet(path: Path, names: Sequence[str], optional: Sequence[str]) -> Iterator[Row]:
    import polars as pl

    try:
        table = pl.read_parquet(io.BytesIO(path.read_bytes()))  # a path would be a pattern
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(str(error).splitlines()[0]) from None
    at = _places(table.columns, names, optional)
    cells = [pl.lit("") if i is None else pl.nth(i).cast(pl.String) for i in at]
    rows = table.select(cell.alias(str(n)) for n, cell in enumerate(cells)).rows()
    for number, row in enumerate(rows, 1):
        if None in row[: len(names)]:
            raise ValueError(f"row {number} has no {names[row.index(None)]}")
        yield tuple(cell or "" for cell in row)


def _between(text: str) -> str:
    """Find the separator of a CSV's cells."""
    first = text.splitlines()[0] if text.strip() else ""
    return max(",;\t", key=first.count)


def _in_csv(text: str, between: str, names: Sequence[str], optional: Sequence[str]) -> Iterator[Row]:
    is_spaced = f"{between} " in text.partition("\n")[0]  # as `file, x, y, w, h`
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=between, skipinitialspace=is_spaced)
    at = _places(next(rows, []), names, optional)
    least = 1 + max(i for i in at if i is not None)
    for row in rows:
        if any(cell.strip() for cell in row):
            if len(row) < least:
                raise ValueError(f"line {rows.line_num} ends too early")
            yield tuple("" if i is None else row[i] for i in at)


def _places(header: Sequence[str], names: Sequence[str], optional: Sequence[str]) -> list[int | None]:
    """Number the columns of these names; optional ones that are not there have None."""
    known = [name.strip().lower() for name in header]
    if missing := [name for name in names if name not in known]:
        raise ValueError(f"it has no column {', '.join(missing)}")
    wanted = *names, *optional
    if several := [name for name in wanted if known.count(name) > 1]:
        raise ValueError(f"it has more than one column {several[0]}")
    return [known.index(name) if name in known else None for name in wanted]
