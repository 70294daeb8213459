"""The table of a run that can be gone on with: what a broken run, or one that ended, has done is left out.

Beside the rows of the unfinished table lies ``<table>.unfinished.json``, by which its run is recognised.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from jaxclnf.media.text_files import read_json
from jaxclnf.output.csv_cells import csv_text
from jaxclnf.output.earlier_tables import has_rows
from jaxclnf.output.formats import convert_back
from jaxclnf.output.growing_table import Table
from jaxclnf.output.row_order import reorder
from jaxclnf.output.table_runs import SETTINGS, Stamp, TableRun, differing, table_of
from jaxclnf.whole_files import write_whole, written_whole


class ResumableTable(Table):
    """A table that survives a broken run.

    ``done`` holds the values of the ``key`` column that a resumed run need not do again; the last one of a
    broken run is not among them, since its rows may be missing. Nor are those of a row that ``lacks`` a file,
    and those whose ``stamps`` have changed since; rows of what is gone, whose stamp is empty, stay.

    The finished table has the keys in the order of ``stamps``, then the others of the earlier run. If none of
    the ``stamps`` has rows, the table that is there stays.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        key: str,
        run: TableRun,
        stamps: Mapping[str, Stamp] | None = None,
        lacks: Callable[[Sequence[str]], bool] = lambda row: False,
    ) -> None:
        super().__init__(path, columns)
        self.done: set[str] = set()
        self.is_kept = False  # the table that was there, by a run that has no rows
        self._keys: list[str] = []  # in the order of their rows
        self._key, self._at = key, self.columns.index(key)
        self._lacks, self._lacking = lacks, set[str]()
        self._settings_path = path.with_suffix(SETTINGS)
        self._whole: int | None = None  # bytes of the unfinished file that are whole photos or frames
        self._is_as_before = False  # the table that is there needs no change
        now = json.loads(json.dumps({"settings": run.settings, "stamps": dict(stamps or {})}))
        stamped = table_of(self._taken_up(run, now["settings"]), "stamps")
        gone = {key for key, stamp in now["stamps"].items() if not stamp and key in stamped}
        now["stamps"] |= {key: stamped[key] for key in gone}
        changed = {key for key, stamp in now["stamps"].items() if stamp != stamped.get(key)}
        self._leave_out(self.done & (changed | self._lacking - gone))
        self._asked = now["stamps"].keys()
        self._description = now | {"stamps": now["stamps"] | _without(stamped, self._asked)}
        write_whole(self._settings_path, json.dumps(self._description).encode())

    def _taken_up(self, run: TableRun, settings: dict[str, Any]) -> Mapping[str, Any]:
        """Take up the rows of a run that broke off, or ended, or begin; gives what is known of that run."""
        if self.unfinished.exists():
            self._require(run.resume, "holds a run that broke off; go on with it by --resume, or remove it")
            before = self._said()
            self._check_same(before.get("settings"), settings)
            self._reload(is_whole=False)
            return before
        if run.takes_up(self.path) and self.path.stat().st_size:  # JSON lines of no rows have no columns
            self._reopen()
            return run.finished
        self._begin()
        return {}

    def _require(self, condition: bool, otherwise: str) -> None:
        if not condition:
            raise ValueError(f"{self.unfinished} {otherwise}")

    def _check_same(self, before: object, now: dict[str, Any]) -> None:
        names = f" ({', '.join(differing(before, now))})" if isinstance(before, dict) else ""
        self._require(
            before == now, f"was begun with other settings or another model, or from another folder{names}"
        )

    def _said(self) -> dict:
        try:
            said = read_json(self._settings_path)
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}

    def _reopen(self) -> None:
        """Take up the rows of the finished table."""
        with written_whole(self.unfinished) as part:
            convert_back(self.path, part)
            with part.open(encoding="utf-8", newline="") as file:
                if next(csv.reader(file), []) != self.columns:
                    raise ValueError(f"{self.path} has other columns than this run would write")
        self._is_as_before = True
        self._reload(is_whole=True)

    def _reload(self, is_whole: bool) -> None:
        """Keep the rows that are certainly whole: of a broken run, those before the last key's.

        Nothing is cut off yet: until new rows come, a run that breaks again loses nothing.
        """
        header, *_ = next(self._rows(), ([], 0))
        self._require(header == self.columns, "has other columns than this run would write")
        last, self._whole = None, 0
        for row, start in self._rows():
            if row == self.columns:
                self._whole = start + len(csv_text([row]).encode())
            elif len(row) != len(self.columns):
                self._is_as_before = False
                break
            elif row[self._at] != last:
                self._note_done(last)
                last, self._whole = row[self._at], start
            if row != self.columns and self._lacks(row):
                self._lacking.add(row[self._at])
        else:
            if is_whole:
                self._note_done(last)
                self._whole = self.unfinished.stat().st_size

    def _note_done(self, key: str | None) -> None:
        if key is not None:
            self.done.add(key)
            self._keys.append(key)

    def _rows(self) -> Iterator[tuple[list[str], int]]:
        """Yield the rows of the unfinished file and where they start; the last may be cut off anywhere."""
        with self.unfinished.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            start = 0
            with suppress(csv.Error):  # damage, which ends the rows that count
                for row in csv.reader(iter(file.readline, "")):
                    yield row, start
                    start = file.tell()

    def _leave_out(self, keys: Set[str]) -> None:
        if not keys:
            return
        rows = [
            row for row, start in self._rows() if start < (self._whole or 0) and row[self._at] not in keys
        ]
        text = csv_text(rows).encode()
        write_whole(self.unfinished, text)
        self._whole = len(text)
        self.done -= keys
        self._keys = [key for key in self._keys if key not in keys]
        self._is_as_before = False

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        """Append the rows of one photo or frame and flush them to the file."""
        super().add(rows)
        self._keys.append(rows[0][self._at])
        self._is_as_before = False

    @property
    def count(self) -> int:
        """Count the photos or frames in the table."""
        return len(self._keys)

    @property
    def n_unasked(self) -> int:
        """Count those of an earlier run that have no stamp in this one."""
        return len(self.done - self._asked)

    @property
    def n_missing(self) -> int:
        """Count those that the earlier run had still to do, and this one was not asked for."""
        return len(self._description["stamps"].keys() - self._asked - self.done)

    def _opened(self) -> TextIO:
        """Open the unfinished file, without the rows that a broken run left incomplete."""
        if self._file is None and self._whole is not None:
            os.truncate(self.unfinished, self._whole)
        return super()._opened()

    def finish(self) -> None:
        """Turn the rows into the finished table, unless they are those that it has, or none."""
        self.is_kept = bool(self._asked) and not self._keys and has_rows(self.path, self._key)
        if self._is_as_before or self.is_kept:
            self._is_as_before = True
            return self.close()
        self._opened().close()
        self._put_in_order()
        super().finish()
        self._settings_path.unlink()

    def _put_in_order(self) -> None:
        """Order the rows as the stamps are; those of other photos come last."""
        ranks = {key: rank for rank, key in enumerate(self._description["stamps"])}
        now = [ranks.get(key, len(ranks)) for key in self._keys]
        if now == sorted(now):
            return
        parts = [(-1, 0)] + [(ranks.get(row[self._at], len(ranks)), at) for row, at in self._rows() if at]
        reorder(self.unfinished, parts)

    def described(self, failed: Set[str]) -> dict[str, Any]:
        """Describe the finished table for a later run to go on with, which does again what has ``failed``."""
        again = failed - self.done
        stamps = {key: stamp for key, stamp in self._description["stamps"].items() if key not in again}
        return self._description | {"stamps": stamps}

    def close(self) -> None:
        """Close the file and leave its rows for a later run, unless the finished table holds them all."""
        super().close()
        if self._is_as_before:
            for path in (self.unfinished, self._settings_path):
                path.unlink(missing_ok=True)


def _without(table: dict, names: Set[str]) -> dict:
    return {name: value for name, value in table.items() if name not in names}
