"""The annotated copy of a video."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from jaxclnf.media.failures import Failure, failed
from jaxclnf.media.video_encoder import VideoFile
from jaxclnf.output.video_pipeline import Followed, annotated


class Film:
    """A video's frames with their faces drawn; if writing fails, it is given up and named."""

    def __init__(self, path: Path, source: str, fps: float) -> None:
        self.failures: list[Failure] = []
        self._path, self._source = path, source
        self._file: VideoFile | None = VideoFile(path, fps)

    def draw(self, followed: Followed) -> None:
        """Append a frame."""
        if self._file:
            try:
                self._file.add(annotated(followed), followed.frame.time)
            except Exception as error:
                self._lose(error)

    def finish(self) -> None:
        """Give the complete film its name."""
        self._end(VideoFile.finish)

    def close(self) -> None:
        """Leave the film under its unfinished name; it plays as far as it goes."""
        self._end(VideoFile.close)

    def _end(self, how: Callable[[VideoFile], object]) -> None:
        if self._file:
            try:
                how(self._file)
            except Exception as error:
                self._lose(error)
            self._file = None

    def _lose(self, error: Exception) -> None:
        file, self._file = self._file, None
        self.failures.append(failed(f"{self._path}", error)._replace(source=self._source))
        if file:
            with suppress(Exception):
                file.abandon()
