"""The results of a sweep so far: a file of outcomes, from which a stopped sweep goes on."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxclnf.media.text_files import read_text
from jaxclnf.sweeps.spec import Setting, static_part
from jaxclnf.whole_files import named, write_whole


class TriedSetting(NamedTuple):
    """The outcome of a setting on the faces from ``first`` up to ``last``."""

    setting: Setting
    first: int
    last: int
    errors: list[float]  # percent of the eye distance, `LOST` where there was no fit
    log_likelihood: float  # mean
    iterations: float  # of all stages, mean


class Results:
    """The file of a sweep's outcomes, JSON lines; the first line describes the sweep."""

    def __init__(self, path: Path, description: dict) -> None:
        self.path = path
        self.outcomes: dict[str, list[TriedSetting]] = {}  # by setting
        self.milliseconds: dict[str, float] = {}
        lines, torn = _lines(path)
        first = json.dumps(description)
        if lines[0] != json.loads(first) if lines else not first.startswith(torn):
            raise ValueError(f"{path} holds another sweep; choose another folder or delete it")
        for number, line in enumerate(lines[1:], 2):
            self._read(line, f"line {number} of {path}")
        if torn:  # no other file is changed than this sweep's
            write_whole(path, "".join(json.dumps(line) + "\n" for line in lines).encode())
        if not lines:
            self._append(description)

    def _read(self, line: dict, place: str) -> None:
        """Note a line of the file; raises ValueError if it is not one that a sweep wrote."""
        try:
            self._note(line)
        except (KeyError, TypeError):
            raise ValueError(f"{place} is not a sweep's; remove it, or choose another folder") from None

    def _note(self, line: dict) -> None:
        if "milliseconds" in line:
            self.milliseconds[key_of(line["static"])] = line["milliseconds"]
        else:
            outcome = TriedSetting(**line)
            self.outcomes.setdefault(key_of(outcome.setting), []).append(outcome)

    def add(self, outcome: TriedSetting) -> None:
        """Keep an outcome, in the file and here."""
        self._append(outcome._asdict())
        self._note(outcome._asdict())

    def add_time(self, static: Setting, milliseconds: float) -> None:
        """Keep the milliseconds per face of a compiled program; ``static`` is as `static_part` gives it."""
        self._append({"static": static, "milliseconds": milliseconds})
        self.milliseconds[key_of(static)] = milliseconds

    def covers(self, setting: Setting, first: int, last: int) -> bool:
        """Tell whether a setting was tried on all faces from ``first`` up to ``last``, in whatever parts."""
        return any(part.last >= last for part, _ in self._joined(setting, first))

    def time_of(self, setting: Setting) -> float | None:
        """Give the milliseconds per face of the setting's compiled program, timed alone; None if unknown."""
        return self.milliseconds.get(key_of(static_part(setting)))

    def whole(self, setting: Setting) -> TriedSetting | None:
        """Join a setting's outcomes into one, up to the first missing faces; None if there are none.

        Of outcomes that overlap, the means count as if they were those of the faces that are taken.
        """
        joined = self._joined(setting, 0)
        if not joined:
            return None
        errors = [error for part, start in joined for error in part.errors[start - part.first :]]
        sizes = [part.last - start for part, start in joined]
        mean = {n: float(np.average([getattr(o, n) for o, _ in joined], weights=sizes)) for n in _MEANS}
        return TriedSetting(setting, 0, joined[-1][0].last, errors, **mean)

    def _joined(self, setting: Setting, first: int) -> list[tuple[TriedSetting, int]]:
        """List the outcomes that go on from one another, each with the face from which it does.

        Of two that begin together the longer one is taken: a cluster's are shorter than those done here.
        """
        joined = []
        for part in sorted(self.outcomes.get(key_of(setting), ()), key=lambda o: (o.first, -o.last)):
            if part.first <= first < part.last:
                joined.append((part, first))
                first = part.last
        return joined

    def _append(self, line: dict) -> None:
        with named(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


_MEANS = ("log_likelihood", "iterations")


def key_of(*parts) -> str:
    """Write settings as a key of dictionaries, in whatever order their names stand."""
    return json.dumps(parts, sort_keys=True)


def _lines(path: Path) -> tuple[list[dict], str]:
    """Read the file's lines, and apart from them a last one that was cut short by the program's end."""
    if not path.exists():
        return [], ""
    with suppress(ValueError, RecursionError):
        *whole, torn = read_text(path).split("\n")
        lines = [json.loads(line) for line in whole]
        if all(isinstance(line, dict) for line in lines):
            return lines, torn
    raise ValueError(f"{path} is not a file of a sweep's results; choose another folder")
