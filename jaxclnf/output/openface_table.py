"""Tables exactly as OpenFace 2 writes them: only its columns, with its decimals, a file for each input.

`jaxclnf.output.tables` writes the same columns with more decimals, and more columns. Source: OpenFace's
`RecorderCSV.cpp`; golden files in tests.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxclnf.output.tables import PHOTO, VIDEO, MeasuredFace, columns, groups
from jaxclnf.whole_files import write_whole


class Release(StrEnum):
    """Releases of OpenFace 2 whose tables differ: the older one writes a blank after each comma."""

    v2_2 = "2.2"
    v2_1 = "2.1"


def photo_lines(faces: Sequence[MeasuredFace]) -> list[str]:
    """Make the lines of a photo's faces."""
    return [",".join([str(i), f"{face.confidence:.3f}", *_numbers(face)]) for i, face in enumerate(faces)]


def video_line(frame: int, face_id: int, timestamp: float, success: bool, found: MeasuredFace) -> str:
    """Make the line of a face in a frame of a video."""
    sure = f"{found.confidence:.2f}"
    return ",".join([str(frame), str(face_id), f"{timestamp:.3f}", sure, str(int(success)), *_numbers(found)])


def header(n_points: int, n_modes: int, video: bool, n_eye_points: int = 0) -> str:
    """Make the first line of a table."""
    return ",".join(columns(n_points, n_modes, VIDEO if video else PHOTO, n_eye_points, own=()))


def spaced(line: str, release: Release) -> str:
    """Space a line as a release of OpenFace does, and end it."""
    return (line.replace(",", ", ") if release is Release.v2_1 else line) + "\n"


class OpenFaceTables(NamedTuple):
    """Writer of a run's tables, for models with so many points and modes."""

    release: Release
    n_points: int
    n_modes: int
    n_eye_points: int

    def write_photo(self, path: Path, faces: Sequence[MeasuredFace]) -> None:
        """Write the table of a photo; without faces it has only its first line."""
        first = header(self.n_points, self.n_modes, False, self.n_eye_points)
        lines = [first, *photo_lines(faces)]
        write_whole(path, "".join(spaced(line, self.release) for line in lines).encode())

    def video(self, path: Path) -> VideoTable:
        """Begin the table of a video."""
        return VideoTable(path, header(self.n_points, self.n_modes, True, self.n_eye_points), self.release)


class VideoTable:
    """A video's table, which grows line by line and gets its final name when it is finished."""

    def __init__(self, path: Path, first: str, release: Release) -> None:
        self._path, self._part, self._release = path, path.with_name(f"{path.name}.unfinished"), release
        self._file = self._part.open("w", encoding="utf-8", newline="")
        self.add([first])

    def add(self, lines: Sequence[str]) -> None:
        """Append lines and flush them to the file."""
        self._file.writelines(spaced(line, self._release) for line in lines)
        self._file.flush()

    def finish(self) -> None:
        """Give the table its final name."""
        self._file.close()
        os.replace(self._part, self._path)

    def close(self) -> None:
        """Close the file and leave it under the name of an unfinished table."""
        with suppress(OSError):  # of a disk that is full, as `add` has told
            self._file.close()


def _numbers(found: MeasuredFace) -> list[str]:
    """Format numbers as C's printf does; those not finite become 0, as in OpenFace's first frames."""
    return [f"{float(v):.{g.decimals}f}" for g in groups(found) for v in np.nan_to_num(g.values)]
