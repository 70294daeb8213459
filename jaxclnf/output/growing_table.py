"""The table of a run, which grows as the run goes on and is kept however the run ends.

Rows go to ``<table>.unfinished.csv`` as they come. When the run ends the file becomes the table, in the
format asked for; when it breaks, the file stays.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO, cast

from jaxclnf.output.csv_cells import csv_text
from jaxclnf.output.formats import convert_rows
from jaxclnf.whole_files import named, write_whole, written_whole

ROWS = ".unfinished.csv"
"""How the names of unfinished tables end."""


class Table:
    """A table that grows by whole photos or frames."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = list(columns)
        self.unfinished = path.with_suffix(ROWS)
        self._file: TextIO | None = None

    @classmethod
    def afresh(cls, path: Path, columns: Sequence[str]) -> Table:
        """Begin a table anew, whatever an earlier run left."""
        table = cls(path, columns)
        table._begin()
        return table

    def _begin(self) -> None:
        write_whole(self.unfinished, csv_text([self.columns]).encode())

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        """Append the rows of one photo or frame and flush them to the file."""
        with named(self.unfinished):
            file = self._opened()
            file.write(csv_text(rows))
            file.flush()

    def _opened(self) -> TextIO:
        if self._file is None:
            self._file = cast(TextIO, self.unfinished.open("a", encoding="utf-8", newline=""))
        return self._file

    def finish(self) -> None:
        """Turn the rows into the finished table."""
        self._opened().close()
        if self.path.suffix == ".csv":
            os.replace(self.unfinished, self.path)
            return
        with named(self.path), written_whole(self.path) as part:
            convert_rows(self.unfinished, part, self.path.suffix)
        self.unfinished.unlink()

    def close(self) -> None:
        """Close the file and leave its rows."""
        if self._file is not None:
            with suppress(OSError):  # of a disk that is full, as `add` has told
                self._file.close()
