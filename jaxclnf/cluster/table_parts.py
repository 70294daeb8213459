"""Parts of a table: a Parquet file for each shard, in a folder that programs read as one table."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from jaxclnf.cluster.places import Store
from jaxclnf.media.failures import Failure
from jaxclnf.output.csv_cells import path_cell
from jaxclnf.output.formats import damage
from jaxclnf.output.growing_table import Table

FAILURES = "failures"
"""The folder of the table of sources that could not be used."""


def part_name(table: str, shard: int | str) -> str:
    """Name the file of a shard's part."""
    number = f"{shard:08}" if isinstance(shard, int) else shard
    return f"{table}/part-{number}.parquet"


def parts_of(store: Store, table: str) -> list[str]:
    """List the names of a table's parts, in order."""
    return [name for name in store.names(table) if is_part(name)]


def is_part(name: str) -> bool:
    """Tell whether a file is called as a part."""
    return re.fullmatch(r"part-\w+\.parquet", name) is not None


def shards_of(parts: Iterable[str]) -> set[int]:
    """Give the numbers of the shards that parts belong to."""
    numbers = (name.removeprefix("part-").removesuffix(".parquet") for name in parts)
    return {int(number) for number in numbers if number.isdecimal()}


def write_part(
    store: Store, name: str, columns: Sequence[str], batches: Iterable[Sequence[Sequence[str]]]
) -> int:
    """Write a part from rows that come a photo or frame at a time; returns the number of rows.

    They are written by the same table as on a single machine, so that they mean the same.
    """
    n_rows = 0
    with tempfile.TemporaryDirectory() as folder:
        table = Table.afresh(Path(folder) / "part.parquet", columns)
        with closing(table):
            for rows in batches:
                table.add(rows)
                n_rows += len(rows)
            table.finish()
        store.put(table.path, name)
    return n_rows


def write_failures_part(store: Store, shard: int | str, failures: Sequence[Failure]) -> None:
    """Write a shard's failures; without failures there is no part."""
    import polars as pl

    name = part_name(FAILURES, shard)
    if not failures:
        store.remove(name)
        return
    cells = {field: [path_cell(getattr(failure, field)) for failure in failures] for field in Failure._fields}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "part.parquet"
        pl.DataFrame(cells).write_parquet(file)
        store.put(file, name)


def read_failures(store: Store, most: int) -> list[Failure]:
    """Read the first failures of a run, at most so many; a damaged part of them counts as one."""
    found: list[Failure] = []
    for name in parts_of(store, FAILURES):
        if len(found) >= most:
            break
        found += _failures_in(store, name)
    return found[:most]


def failures_of(store: Store, shard: int) -> list[Failure]:
    """Read the failures of a shard."""
    name = part_name(FAILURES, shard)
    return _failures_in(store, name.removeprefix(f"{FAILURES}/")) if store.exists(name) else []


def _failures_in(store: Store, name: str) -> list[Failure]:
    """Read a part of the failures; of one that is damaged the failure is that it tells none."""
    import polars as pl

    try:
        rows = pl.read_parquet(io.BytesIO(store.read(f"{FAILURES}/{name}"))).select(Failure._fields).rows()
    except damage():
        place = store.at(f"{FAILURES}/{name}")
        mend = "; remove it and its shard's part, and --resume does that again" if shards_of([name]) else ""
        return [Failure(place, f"{place} is damaged and no longer tells what could not be used{mend}")]
    return [Failure(*row) for row in rows]
