"""The output folder of a run: files appear whole or not at all, and a broken run can be gone on with.

Rows go to ``<table>.unfinished.csv`` as they come. When the run ends the file becomes the table, in the
format asked for; when it breaks, the file stays, and a run with ``resume`` leaves out what it holds.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO, cast

from jaxclnf.media.inputs import Failure

FORMATS = ("csv", "parquet", "jsonl")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name and move it when it is whole."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """The output folder, made if it is not there; raises ValueError where it cannot hold files."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".jaxclnf.part"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"{path} cannot be the output folder: {error.strerror or error}") from None
    return path


class Table:
    """A table that grows by whole photos or frames and survives a broken run.

    ``done`` holds the values of the ``key`` column that a resumed run need not do again; the last one is
    not among them, since its rows may be missing.
    """

    def __init__(self, path: Path, columns: Sequence[str], key: str, settings: dict, resume: bool) -> None:
        self.path = path
        self.columns = list(columns)
        self.unfinished = path.with_suffix(".unfinished.csv")
        self._settings_path = path.with_suffix(".unfinished.json")
        self.done: set[str] = set()
        if self.unfinished.exists():
            self._require(resume, "holds a run that broke off; go on with it by --resume, or remove it")
            self._require(self._settings() == settings, "was begun with other settings or another model")
            self._reload(columns, key)
        else:
            write_whole(self._settings_path, json.dumps(settings, indent=1).encode())
            self._file = self._open("w")
            self.add([list(columns)])

    @classmethod
    def afresh(cls, path: Path, columns: Sequence[str]) -> Table:
        """A table that is begun anew, whatever an earlier run left."""
        path.with_suffix(".unfinished.csv").unlink(missing_ok=True)
        return cls(path, columns, columns[0], {}, resume=False)

    def _open(self, mode: str) -> TextIO:
        """File names that are no UTF-8 pass unchanged, and so does what a break cut off inside a letter."""
        return cast(
            TextIO, self.unfinished.open(mode, encoding="utf-8", errors="surrogateescape", newline="")
        )

    def _require(self, condition: bool, otherwise: str) -> None:
        if not condition:
            raise ValueError(f"{self.unfinished} {otherwise}")

    def _settings(self) -> dict | None:
        try:
            return json.loads(self._settings_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _reload(self, columns: Sequence[str], key: str) -> None:
        """Keep what is certainly whole: everything before the last rows' key."""
        at = columns.index(key)
        with self._open("r") as file:
            header = next(csv.reader(iter(file.readline, "")), None)
            self._require(header == list(columns), "has other columns than this run would write")
            whole = start = file.tell()
            last = None
            for row in csv.reader(iter(file.readline, "")):
                if len(row) != len(columns):
                    break
                if row[at] != last:
                    self.done |= set() if last is None else {last}
                    last, whole = row[at], start
                start = file.tell()
        os.truncate(self.unfinished, whole)
        self._file = self._open("a")

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        """Append the rows of one photo or frame and hand them to the system."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._file.write(text.getvalue())
        self._file.flush()

    def finish(self) -> None:
        """Turn the rows into the table."""
        self._file.close()
        if self.path.suffix == ".csv":
            os.replace(self.unfinished, self.path)
        else:
            part = self.path.with_name(f".{self.path.name}.part")
            _convert(self.unfinished, part, self.path.suffix)
            os.replace(part, self.path)
            self.unfinished.unlink()
        self._settings_path.unlink()

    def close(self) -> None:
        """Leave the rows for a later run."""
        self._file.close()


def _convert(source: Path, target: Path, suffix: str) -> None:
    import polars as pl

    texts = {"source": pl.String, "status": pl.String}
    counts = dict.fromkeys(("frame", "face", "face_id", "success"), pl.Int64)
    names = pl.scan_csv(source).collect_schema().names()
    kinds = dict.fromkeys(names, pl.Float64) | {n: k for n, k in (texts | counts).items() if n in names}
    rows = pl.scan_csv(source, schema=kinds)
    if suffix == ".parquet":
        rows.sink_parquet(target)
    else:
        rows.sink_ndjson(target)


def write_failures(path: Path, failures: Sequence[Failure]) -> None:
    """Write the failures of a run as a table; where there are none, no table stays."""
    if not failures:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([Failure._fields, *failures])
    write_whole(path, text.getvalue().encode())
