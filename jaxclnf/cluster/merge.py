"""Merging the parts of a run into one table."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxclnf.cluster.cluster_run import BESIDE, JOB, read_job
from jaxclnf.cluster.ledger import LEDGER
from jaxclnf.cluster.places import Store
from jaxclnf.cluster.shards import PLAN
from jaxclnf.cluster.table_parts import FAILURES, is_part, parts_of
from jaxclnf.models.npz import in_one_line
from jaxclnf.output.earlier_tables import check_columns
from jaxclnf.output.formats import FORMATS, damage, write_rows
from jaxclnf.whole_files import named, written_whole


class Merged(NamedTuple):
    """The size of a merged table, and the number of missing shards."""

    rows: int
    missing: int  # shards of the run that are not done


def merge(place: str, target: Path) -> Merged:
    """Write the parts of a run, or of one folder of parts, as a CSV, Parquet or JSON-lines file.

    Rows come in the order of the inputs; a CSV has the values of a run on one machine. Raises ValueError
    if there are no parts, if they make no table, or if the target cannot be such a file or is one with other
    columns, which would be lost; OSError, which names the target, as of a full disk.
    """
    import polars as pl

    if target.suffix not in FORMATS:
        raise ValueError(f"{target}: expected a name that ends in {', '.join(FORMATS)}")
    if not target.parent.is_dir():
        raise ValueError(f"{target} cannot be written: there is no folder {target.parent}; make it first")
    if target.is_dir():
        raise ValueError(f"{target} is a folder; give the name of a file")
    store = Store(place)
    job = read_job(store) if store.exists(JOB) else None
    folder = job.table if job else ""
    names = _parts(store, folder)
    if store.folder is not None:
        _check_apart(target, store.folder, folder)
    with tempfile.TemporaryDirectory() as copies:
        parts = _here(store, folder, names, Path(copies))
        rows = pl.scan_parquet(parts, glob=False)
        try:
            check_columns(target, rows.collect_schema().names())
            n_rows = rows.select(pl.len()).collect().item()  # before the target is whole, which is the end
            with named(target), written_whole(target) as whole:
                write_rows(rows, whole, target.suffix)
        except damage() as error:
            raise ValueError(_no_table(store.at(folder) if folder else store.place, parts, error)) from None
    return Merged(n_rows, job.shards - len(names) if job else 0)


def _no_table(place: str, parts: Sequence[Path], error: BaseException) -> str:
    """Say which part makes a table impossible: a damaged one, or one with other columns than the first."""
    import polars as pl

    columns = None
    for part in parts:
        try:
            found = pl.read_parquet(part, glob=False).columns  # all of it: damage may be anywhere
        except damage():
            return (
                f"{place}: {part.name} is damaged; copy the parts again, or remove it from the run's folder, "
                "and --resume does its shard again"
            )
        columns = columns or found
        if found != columns:
            return f"{place}: {part.name} has other columns than {parts[0].name}; merge each run by itself"
    return f"{place}: the parts make no table: {in_one_line(str(error))}"


def _check_apart(target: Path, run: Path, table: str) -> None:
    """Raise ValueError for a target that is a file of the run, or would be taken for one."""
    target, run, parts = (Path(os.path.realpath(path)) for path in (target, run, run / table))
    kept = [run / name for name in (PLAN, LEDGER, FAILURES, *BESIDE)]
    if not {target, *target.parents}.isdisjoint(kept) or (target.parent == parts and is_part(target.name)):
        raise ValueError(f"{target} is a file of the run and would be written over; choose another name")


def _parts(store: Store, folder: str) -> list[str]:
    """List the parts in a run's folder of them, or in the place itself."""
    names = parts_of(store, folder)
    if names:
        return names
    if folder:
        raise ValueError(f"{store.at(folder)} holds no parts yet")
    raise ValueError(
        f"{store.place} holds no run on a cluster and no part-*.parquet; give the --out of fit --cluster"
    )


def _here(store: Store, folder: str, names: list[str], copies: Path) -> list[Path]:
    """Give the parts as files of this machine, in order; those of object stores are copied."""
    if store.folder is not None:
        return [store.folder / folder / name for name in names]
    for name in names:
        (copies / name).write_bytes(store.read(f"{folder}/{name}" if folder else name))
    return [copies / name for name in names]
