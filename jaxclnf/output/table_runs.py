"""Runs that fill a table: what they are known by, so that a later one can go on with them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxclnf.output.growing_table import ROWS

Stamp = list[int]
SETTINGS = ".unfinished.json"
"""What a table's name ends in, beside the rows of one that is not finished, of what its run is known by."""


def stamp(path: Path | str) -> Stamp:
    """Record a file's size and time of change, to recognise it by; empty if there is no such file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return []
    return [status.st_size, status.st_mtime_ns]


def unfinished_names(stem: str) -> list[str]:
    """Name the files of a table that is not finished: its rows so far, and what tells its run from others."""
    return [stem + ROWS, stem + SETTINGS]


class TableRun(NamedTuple):
    """A run that fills a table: its settings, by which it is recognised, and whether it goes on with another.

    ``finished`` is what `ResumableTable.described` gave of the run that made the table that is there.
    """

    settings: dict[str, Any]
    resume: bool = False
    finished: Mapping[str, Any] = MappingProxyType({})

    def goes_on(self, path: Path) -> bool:
        """Tell whether the run goes on with the table of a run that broke off, or that ended."""
        return self.resume and (path.with_suffix(ROWS).exists() or self.takes_up(path))

    def takes_up(self, path: Path) -> bool:
        """Tell whether the run goes on with a finished table: it has the same settings."""
        same = self.finished.get("settings") == json.loads(json.dumps(self.settings))
        return self.resume and same and path.exists()

    @property
    def settings_before(self) -> dict[str, Any]:
        """Settings of the run that ended; none if nothing is known of it."""
        return table_of(self.finished, "settings")


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name the settings that two runs do not have in common."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def table_of(said: Mapping[str, Any], name: str) -> dict:
    """Look up a table by its name in what is said of a run; an empty one if there is none."""
    table = said.get(name)
    return table if isinstance(table, dict) else {}
