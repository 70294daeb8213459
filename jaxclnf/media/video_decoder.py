"""A video on its way through the decoder: its frames and when each is to be shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from jaxclnf.media.failures import Failure
from jaxclnf.media.frame_pixels import as_shown, display_matrix, pixels_of, with_square_pixels
from jaxclnf.media.frame_times import Clock, JoinedTimes
from jaxclnf.media.frames import Frame
from jaxclnf.media.images import RGB
from jaxclnf.media.video_flaws import Flaws
from jaxclnf.wording import counted

_TURNS_ANEW = ("h264", "hevc")


class Decoding:
    """A video on its way through the decoder; at the end its faults are in ``failures``."""

    def __init__(
        self,
        name: str,
        container: InputContainer,
        stream: Any,
        fps: float | None,
        rate: float,
        path: Path | None,
    ) -> None:
        self.name, self.container, self.failures = name, container, list[Failure]()
        self._stream, self._fps, self._rate = stream, fps, rate
        self._flaws, self._clock = Flaws(container, stream, path), Clock(container, rate)
        self._n_frames = 0
        self._turn: np.ndarray | None = None  # FFmpeg's matrix, of the last frame that was asked

    def promised(self) -> int | None:
        """Give the number of frames by the file's header, or by its length."""
        length = self._stream.duration and self._stream.duration * self._stream.time_base
        n = self._stream.frames or round(float(length or 0) * self._rate)
        return n if n > 0 else None

    def frames(self) -> Iterator[Frame]:
        """Yield every frame that can be decoded; faults are noted at the end."""
        first, joined = 0.0, JoinedTimes(self.container, self._rate)
        for picture in self._decoded():
            shown = self._clock.time(picture)
            self._flaws.note_picture(shown, bool(picture.is_corrupt))
            shown = joined.time(shown)
            first = shown if self._n_frames == 0 else first
            time = self._n_frames / self._fps if self._fps else shown - first
            self._n_frames += 1
            yield Frame(self._n_frames, time, self._upright(picture), self.name)
        verdict = None if self.failures else self._flaws.verdict()
        if verdict:
            self._fail(verdict)

    def _upright(self, picture: Any) -> RGB:
        """Make a frame's pixels square and turn them as they are to be shown, which the first frame tells.

        H.264 and H.265 may tell the turn anew with a key frame. PyAV's frames that were asked hold
        themselves, and their memory, until Python looks for circles.
        """
        if self._n_frames == 1 or (picture.key_frame and self._stream.codec_context.name in _TURNS_ANEW):
            self._turn = display_matrix(picture)
        pixels = with_square_pixels(pixels_of(picture), self._stream.sample_aspect_ratio)
        return as_shown(pixels, self._turn)

    def _decoded(self) -> Iterator[Any]:
        packets = self.container.demux()
        while True:
            try:
                packet = next(packets, None)
            except (FFmpegError, OSError) as error:
                self._fail(f"breaks off after {counted(self._n_frames, 'frame')}: {said(error)}")
                return
            if packet is None:
                return
            self._flaws.note_packet(packet)
            if packet.stream is not self._stream:
                continue
            self._clock.note_packet(packet)
            try:
                yield from packet.decode()
            except FFmpegError:
                self._flaws.note_bad_packet()
                self._clock.note_bad_packet(packet)

    def _fail(self, what: str) -> None:
        self.failures.append(Failure(self.name, f"{self.name} {what}"))


def said(error: BaseException) -> str:
    """Reduce an error of FFmpeg or of the system to its message."""
    return str(getattr(error, "strerror", None) or error)
