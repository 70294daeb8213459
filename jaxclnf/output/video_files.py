"""The files of a run on videos: a table and an annotated copy of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jaxclnf.config import FitConfig
from jaxclnf.media.frames import Video
from jaxclnf.media.inputs import Failure, find_photos
from jaxclnf.media.patterns import is_pattern
from jaxclnf.output.film import Film
from jaxclnf.output.growing_table import Table, stamp, unfinished_names
from jaxclnf.output.openface_table import OpenFaceTables, VideoTable
from jaxclnf.output.photo_files import OPENFACE
from jaxclnf.output.run_folder import OutputFolder, source_key
from jaxclnf.output.video_pipeline import Followed, frame_rows, openface_lines, video_columns
from jaxclnf.types import Model

BESIDE_VIDEOS = ("failures.csv", "report.html")
"""Files of a run, which stand beside those of its videos."""


class VideoFiles:
    """The table and the annotated copy of one video, and whether an earlier run has made them."""

    def __init__(self, folder: OutputFolder, source: str, stem: str, format: str, told: dict) -> None:
        self.source = source
        self.table = folder.path / f"{stem}.{format}"
        self.film = folder.path / f"{stem}.mp4"
        self.unfinished = folder.path / f"{stem}.unfinished.csv"
        self.n_frames = 0
        self._folder, self._told = folder, told
        self._key = source_key(source)
        self._stamp = _stamp(source)
        self._table: Table | None = None
        self._film: Film | None = None
        self._openface: VideoTable | None = None

    def is_done(self) -> bool:
        """Tell whether the table of this very video, with these settings and this model, exists."""
        said = self._folder.done.get(self._key, {})
        is_same = bool(self._stamp) and said.items() >= self._said().items()
        return is_same and self.table.exists() and isinstance(said.get("failures"), list)

    def earlier_failures(self) -> list[Failure]:
        """Recall the failures of the video when its table was made."""
        return [Failure(self.source, str(reason)) for reason in self._folder.done[self._key]["failures"]]

    def _said(self) -> dict[str, Any]:
        digest = hashlib.sha256(json.dumps(self._told, sort_keys=True, default=str).encode()).hexdigest()
        return {"table": self.table.name, "stamp": self._stamp, "told": digest}

    def begin(
        self,
        model: Model,
        config: FitConfig,
        video: Video,
        pictures: bool,
        openface: OpenFaceTables | None = None,
        certainty: bool = False,
    ) -> None:
        """Begin the files anew, whatever an earlier run left."""
        self._table = Table.afresh(self.table, video_columns(model, config, certainty))
        if openface:
            folder = self._folder.claim_folder(OPENFACE)
            self._openface = openface.video(folder / f"{self.table.stem}.csv")
        self._film = Film(self.film, self.source, video.fps) if pictures else None

    def draw(self, followed: Followed) -> Followed:
        """Append a frame to the annotated copy; if that fails, the table goes on without the copy."""
        return self._film.draw(followed) if self._film else followed

    def add(self, followed: Followed) -> None:
        """Append a frame's rows to the table."""
        assert self._table is not None
        self._table.add(frame_rows(self._table.columns, followed))
        if self._openface:
            self._openface.add(openface_lines(followed))
        self.n_frames += 1

    def finish(self, video: Video) -> list[Failure]:
        """Give both files their final names; returns the failures of the video and of its copy."""
        assert self._table is not None
        if self._film:
            self._film.finish()
        self._table.finish()
        if self._openface:
            self._openface.finish()
            self._openface = None
        failures = [*(self._film.failures if self._film else ()), *video.failures]
        if not self.n_frames and not failures:
            failures = [Failure(self.source, f"{self.source} holds no frame that can be read")]
        self._folder.done[self._key] = self._said() | {"failures": [f.reason for f in failures]}
        self._folder.save()
        return failures

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
    folder: OutputFolder, sources: Iterable[str], format: str, pictures: bool, told: dict
) -> list[VideoFiles]:
    """Plan the names of every source's files, apart from other sources' files, and write them down."""
    endings = video_endings(format, pictures)
    unique = {source_key(source): source for source in sources}
    plans = [
        VideoFiles(folder, source, folder.stem(source, video_name(source), endings), format, told)
        for source in unique.values()
    ]
    folder.save()
    return plans


def video_endings(format: str, pictures: bool) -> list[str]:
    """List the endings of a video's files: its table, unfinished ones, and its annotated copy."""
    endings = [f".{format}", *unfinished_names("")]
    return endings + ([".mp4", ".unfinished.mp4"] if pictures else [])


def video_name(source: str) -> str:
    """Choose the name of a source's files; a pattern's are named after its folder."""
    path = Path(source).parent if is_pattern(source) else Path(source)
    return {"-": "standard_input"}.get(source) or path.stem or path.resolve().name or "video"


def _stamp(source: str) -> list[Any]:
    """Make a stamp to recognise a source by; empty for cameras and streams, which are never the same."""
    if Path(source).is_file():
        return stamp(source)
    if Path(source).is_dir() or is_pattern(source):
        pictures = [[str(path), *stamp(path)] for path in find_photos([source]).paths]
        return [hashlib.sha256(json.dumps(pictures).encode()).hexdigest()] if pictures else []
    return []
