"""The files of a run on videos: a table and an annotated copy of each."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxclnf.media.failures import Failure
from jaxclnf.media.frames import Video
from jaxclnf.media.patterns import is_pattern
from jaxclnf.media.video_inputs import sequence_photos
from jaxclnf.output.film import Film
from jaxclnf.output.growing_table import ROWS, Table
from jaxclnf.output.openface_table import OpenFaceTables, VideoTable
from jaxclnf.output.photo_files import OPENFACE
from jaxclnf.output.run_folder import OutputFolder, source_key
from jaxclnf.output.table_runs import stamp
from jaxclnf.output.video_pipeline import Followed, frame_rows, openface_lines

BESIDE_VIDEOS = ("failures.csv", "report.html")
"""Files of a run, which stand beside those of its videos."""


class VideoExtras(NamedTuple):
    """The files of each video that a run writes beside the table; OpenFace's go to a folder of their own."""

    pictures: bool = False
    openface: OpenFaceTables | None = None
    folder: Path | None = None  # of OpenFace's tables


class VideoFiles:
    """The table and the annotated copy of one video, and whether an earlier run has made them."""

    def __init__(
        self, folder: OutputFolder, source: str, stem: str, format: str, told: dict, extras: VideoExtras
    ) -> None:
        self.source = source
        self.table = folder.path / f"{stem}.{format}"
        self.film = folder.path / f"{stem}.mp4"
        self.unfinished = self.table.with_suffix(ROWS)
        self.is_finished = self._is_broken = False
        self.n_frames = 0
        self._folder, self._told, self._extras = folder, told, extras
        self._key = source_key(source)
        self._stamp = _stamp(source)
        self._before: dict[str, Any] = folder.done.get(self._key, {})
        self._table: Table | None = None
        self._film: Film | None = None
        self._openface: VideoTable | None = None

    def is_done(self) -> bool:
        """Tell whether all files of this very video, with these settings and this model, exist."""
        is_same = bool(self._stamp) and self._before.items() >= self._said().items()
        made = all(path.exists() for path in self._wanted())
        return is_same and made and isinstance(self._before.get("failures"), list)

    def earlier_failures(self) -> list[Failure]:
        """Recall the failures of the video when its table was made."""
        return [Failure(self.source, str(reason)) for reason in self._before["failures"]]

    def _wanted(self) -> list[Path]:
        theirs = self._extras.folder
        films = [self.film] if self._extras.pictures else []
        return [self.table, *films, *([theirs / f"{self.table.stem}.csv"] if theirs else [])]

    def _said(self) -> dict[str, Any]:
        digest = hashlib.sha256(json.dumps(self._told, sort_keys=True, default=str).encode()).hexdigest()
        said = {"table": self.table.name, "stamp": self._stamp, "told": digest}
        return said | ({OPENFACE: self._extras.openface.release} if self._extras.openface else {})

    def begin(self, columns: Sequence[str], video: Video) -> None:
        """Begin the files anew, whatever an earlier run left unfinished; the table has these columns."""
        self._table = Table.afresh(self.table, columns)
        _, openface, theirs = self._extras
        self._openface = openface.video(theirs / f"{self.table.stem}.csv") if openface and theirs else None
        self._film = Film(self.film, self.source, video.fps) if self._extras.pictures else None

    def add(self, followed: Followed) -> None:
        """Append a frame to the annotated copy, whose failure leaves the table alone, and its rows.

        Once rows could not be written, frames that are under way then are passed over: the table ends there.
        """
        if self._is_broken:
            return
        if self._film:
            self._film.draw(followed)
        self._is_broken = True
        self._add_rows(followed)
        self._is_broken = False
        self.n_frames += 1

    def _add_rows(self, followed: Followed) -> None:
        assert self._table is not None
        self._table.add(frame_rows(self._table.columns, followed))
        if self._openface:
            self._openface.add(openface_lines(followed))

    def finish(self, video: Video) -> list[Failure]:
        """Give both files their final names; returns the failures of the video and of its copy."""
        assert self._table is not None
        self._table.finish()
        if self._openface:
            self._openface.finish()
            self._openface = None
        if self._film:
            self._film.finish()
        failures = [*(self._film.failures if self._film else ()), *video.failures]
        if not self.n_frames and not failures:
            failures = [Failure(self.source, f"{self.source} holds no frame that can be read")]
        kept = self._kept(not self.n_frames or bool(self._film and self._film.failures))
        self._folder.done[self._key] = kept | self._said() | {"failures": [f.reason for f in failures]}
        self._folder.save()
        self.is_finished = True
        return failures

    def _kept(self, film_is_lost: bool) -> dict[str, Any]:
        """Remove files of an earlier run that belong to another table; returns what is said of those kept."""
        same = bool(self._stamp) and all(self._before.get(k) == self._said()[k] for k in ("stamp", "told"))
        if film_is_lost or not (same or self._extras.pictures):
            self._folder.discard(self.source, self.film)
        if not (same or self._extras.openface):
            self._folder.discard(self.source, *self._openface_tables(self.table.stem))
        return self._before if same else {}

    def give_up(self) -> None:
        """Remove results of another video that had the name of this one, which cannot be opened.

        Those of the same video stay, and of one that is gone, and of cameras and streams.
        """
        table = Path(str(self._before.get("table", ""))).name
        if self._stamp and table and self._before.get("stamp") != self._stamp:
            stem, folder = Path(table).stem, self._folder.path
            others = folder / f"{stem}.mp4", *self._openface_tables(stem)
            self._folder.discard(self.source, folder / table, *others)
            del self._folder.done[self._key]
            self._folder.save()

    def _openface_tables(self, stem: str) -> list[Path]:
        return [folder / f"{stem}.csv" for folder in self._folder.folders(OPENFACE)]

    def stop(self) -> None:
        """Stop early: the files keep the names of unfinished ones, and the copy plays as far as it goes."""
        if self._table:
            if self._film:
                self._film.close()
            self._table.close()
            if self._openface:
                self._openface.close()
            self._table = None


def plan_videos(
    folder: OutputFolder,
    sources: Iterable[str],
    format: str,
    pictures: bool,
    told: dict,
    openface: OpenFaceTables | None = None,
) -> list[VideoFiles]:
    """Plan the names of every source's files, apart from other sources' files, and write them down."""
    extras = VideoExtras(pictures, openface, folder.claim_folder(OPENFACE) if openface else None)
    endings = video_endings(format, pictures)
    unique = {source_key(source): source for source in sources}
    plans = [
        VideoFiles(folder, source, folder.stem(source, video_name(source), endings), format, told, extras)
        for source in unique.values()
    ]
    folder.save()
    return plans


def video_endings(format: str, pictures: bool) -> list[str]:
    """List the endings of a video's files: its table and its annotated copy, and those of unfinished ones."""
    return [f".{format}", ROWS, *([".mp4", ".unfinished.mp4"] if pictures else [])]


def video_name(source: str) -> str:
    """Choose the name of a source's files; a pattern's are named after its folder."""
    path = Path(source).parent if is_pattern(source) else Path(source)
    return {"-": "standard_input"}.get(source) or path.stem or path.resolve().name or "video"


def _stamp(source: str) -> list[Any]:
    """Make a stamp to recognise a source by; empty for cameras and streams, which are never the same."""
    if os.path.isfile(source):
        return stamp(source)
    if os.path.isdir(source) or is_pattern(source):
        pictures = [[str(path), *stamp(path)] for path in sequence_photos(source).paths]
        return [hashlib.sha256(json.dumps(pictures).encode()).hexdigest()] if pictures else []
    return []
