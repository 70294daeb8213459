"""Merging the parts of a run into one table."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from jaxclnf.cluster.places import Store
from jaxclnf.cluster.run import JOB
from jaxclnf.output.files import written_whole

PART = "part-*.parquet"


def merge(place: str, target: Path) -> int:
    """Write the parts of a run, or of one folder of parts, as a CSV, Parquet or JSON-lines file.

    Rows come in the order of the inputs; a CSV is what a run on one machine would have written. Returns the
    number of rows. Raises ValueError if there are no parts or the target's ending is not known.
    """
    import polars as pl

    if target.suffix not in _WRITE:
        raise ValueError(f"{target}: expected a name that ends in {', '.join(_WRITE)}")
    store = Store(place)
    folder = _folder_of_parts(store)
    with tempfile.TemporaryDirectory() as copies:
        parts = _here(store, folder, Path(copies))
        rows = pl.scan_parquet(parts, glob=False)
        with written_whole(target) as part, part.open("xb") as file:
            getattr(rows, _WRITE[target.suffix])(file, **_OPTIONS.get(target.suffix, {}))
        return rows.select(pl.len()).collect().item()


_WRITE = {".csv": "sink_csv", ".parquet": "sink_parquet", ".jsonl": "sink_ndjson"}
_OPTIONS = {".csv": {"float_precision": 6}}


def _folder_of_parts(store: Store) -> str:
    """Find the folder of the parts: that of a run's table, or the place itself."""
    if store.exists(JOB):
        return json.loads(store.read(JOB))["table"]
    if any(name.startswith("part-") for name in store.names()):
        return ""
    raise ValueError(
        f"{store.place} holds no run on a cluster and no {PART}; give the --out of fit --cluster"
    )


def _here(store: Store, folder: str, copies: Path) -> list[Path]:
    """Give the parts as local files, in order; those of object stores are copied."""
    names = [name for name in store.names(folder) if name.endswith(".parquet")]
    if not names:
        raise ValueError(f"{store.at(folder)} holds no parts yet")
    if store.folder is not None:
        return [store.folder / folder / name for name in names]
    for name in names:
        (copies / name).write_bytes(store.read(f"{folder}/{name}" if folder else name))
    return [copies / name for name in names]
