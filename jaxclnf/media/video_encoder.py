"""Writing annotated videos to files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
import cv2
import numpy as np

from jaxclnf.media.images import RGB

_TICKS = 60_000  # a second: the finest that MPEG-4 can count, and a multiple of all usual rates
_SMALLEST = 16
_X264 = {"preset": "superfast", "crf": "20", "g": "50"}  # frames between keys, to which players jump
_LEFT_TO_CHANCE = 0.5  # seconds of film that are lost where the process ends without a moment to close it
# A fragmented film until it is closed, then a plain one: FFmpeg's "hybrid" MP4.
_PLAYS_AT_ANY_MOMENT = {
    "movflags": "hybrid_fragmented+delay_moov",  # of which the second has the first frame come at 0
    "frag_duration": str(int(_LEFT_TO_CHANCE * 1e6)),
    "flush_packets": "1",
}


class VideoFile:
    """An .mp4 that is written frame by frame as ``<name>.unfinished.mp4`` and gets its final name when whole.

    The unfinished film plays at any moment, whatever ends the process: all but the last half second, and the
    few frames that the encoder looks ahead. Every frame is shown when its ``time`` comes (in seconds; the
    first begins the film), so that the copy of a video of uneven rate has its times; without, frames come
    ``fps`` a second.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        self.unfinished = path.with_suffix(".unfinished.mp4")
        self._fps = fps
        self._file: IO[bytes] | None = None
        self._container: Any = None
        self._stream: Any = None
        self._size = (0, 0)
        self._n_frames = 0
        self._first, self._ticks = 0.0, -1

    def add(self, picture: RGB, time: float | None = None) -> None:
        """Append a frame; frames of other sizes than the first are fitted to it."""
        if self._container is None:
            self._begin(picture.shape[1], picture.shape[0])
        if picture.shape[1::-1] != self._size:
            picture = cv2.resize(picture, self._size)
        seconds = self._n_frames / self._fps if time is None else time
        self._first = seconds if self._n_frames == 0 else self._first
        self._ticks = max(round((seconds - self._first) * _TICKS), self._ticks + 1)
        colours: Any = cv2.cvtColor(_even(picture), cv2.COLOR_RGB2YUV_I420)
        frame = av.VideoFrame.from_ndarray(colours, format="yuv420p")
        frame.pts, frame.time_base = self._ticks, Fraction(1, _TICKS)
        self._n_frames += 1
        self._container.mux(self._stream.encode(frame))  # pyright: ignore[reportOptionalMemberAccess]

    def _begin(self, width: int, height: int) -> None:
        self._size = width, height
        self.unfinished.unlink(missing_ok=True)  # an earlier run's, or a link, which would be followed
        self._file = self.unfinished.open("xb", buffering=0)
        self._container = av.open(self._file, "w", format="mp4", options=_PLAYS_AT_ANY_MOMENT)
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        options = _X264 if codec == "libx264" else {"q": "3"}
        rate = Fraction(min(max(self._fps, 0.01), 1000.0)).limit_denominator(1001)
        self._stream = self._container.add_stream(codec, rate=rate, options=options)
        self._stream.width, self._stream.height = _even_size(width), _even_size(height)
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS)

    def finish(self) -> None:
        """Close the film and give it its final name; without a frame there is no file."""
        if self.close():
            self.unfinished.replace(self.path)

    def close(self) -> bool:
        """Close the film, complete or not, and leave it unfinished; returns whether it has frames."""
        if self._container is None:
            return False
        container, self._container = self._container, None
        try:
            container.mux(self._stream.encode(None))
            container.close()
        finally:
            self._close_file()
        return True

    def abandon(self) -> None:
        """Remove the unfinished film."""
        self._container = None
        self._close_file()
        self.unfinished.unlink(missing_ok=True)

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _even_size(n: int) -> int:
    """Make a size even, which usual decoders need, and not tiny, which encoders refuse."""
    return max(n + n % 2, _SMALLEST)


def _even(picture: RGB) -> np.ndarray:
    """Repeat the last row and column of a picture if its size is odd."""
    height, width = picture.shape[:2]
    more = (0, _even_size(height) - height), (0, _even_size(width) - width), (0, 0)
    return np.ascontiguousarray(np.pad(picture, more, mode="edge") if any(map(any, more)) else picture)
