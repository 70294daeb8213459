"""Flaws of a video, which are noticed while it is decoded."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from jaxclnf.media.truncation import WRONG_LENGTH, cut_short
from jaxclnf.wording import counted

# Containers whose header says how long they are; of others FFmpeg guesses it.
_SAY_HOW_LONG = ("matroska,webm", "asf", "flv", "ivf", "mxf")
# Codecs whose every packet is a picture that is shown; others have packets without one.
_A_PICTURE_EACH = ("h264", "hevc")
_TOLERANCE = 0.5  # seconds: streams of sound and pictures end beside each other


class Flaws:
    """A record of the packets and pictures of a video, which shows at its end whether they fit together.

    What stands before the first picture without a flaw is not judged: a recording of a broadcast begins
    somewhere.
    """

    def __init__(self, container: Any, stream: Any, path: Path | None) -> None:
        self._container, self._stream, self._path = container, stream, path
        self._n_frames = self._n_flawed = self._n_packets = self._n_bad = self._n_lost = 0
        self._last = -np.inf  # seconds from the container's zero: of the last picture
        self._longest = 0.0  # seconds that a picture was shown
        self._end = 0.0  # of the last packet, be it sound or pictures
        self._waiting: set[float] = set()  # times of packets of which no picture came yet
        self._ends_flawed = self._ends_cut = False

    def note_packet(self, packet: Any) -> None:
        """Note a packet of any stream before it is decoded."""
        if not packet.size:
            return
        self._ends_cut = packet.is_corrupt
        begin = None if packet.pts is None else float(packet.pts * packet.time_base)
        if begin is not None:
            self._end = max(self._end, begin + float((packet.duration or 0) * packet.time_base))
        if packet.stream is self._stream and not getattr(packet, "is_discard", False):
            self._n_packets += 1
            if begin is not None:
                self._waiting.add(round(begin, 6))

    def note_bad_packet(self) -> None:
        """Note that the decoder made no picture of a packet."""
        self._n_bad += 1

    def note_picture(self, time: float, flawed: bool) -> None:
        """Note a picture shown at ``time``, in seconds from the container's zero."""
        self._longest = max(self._longest, time - self._last) if self._n_frames else 0.0
        self._waiting.discard(round(time, 6))
        passed = {waiting for waiting in self._waiting if waiting < time}
        self._waiting -= passed
        self._n_lost += len(passed) if self._n_frames else 0
        self._n_frames, self._last = self._n_frames + 1, time
        self._ends_flawed = flawed
        if flawed and self._n_flawed < self._n_frames - 1:
            self._n_flawed += 1

    def verdict(self) -> str | None:
        """Say what is wrong with the video, once all of it was decoded; None if nothing is."""
        if not self._n_frames:
            return None
        missing = self._missing()
        if missing == WRONG_LENGTH:
            return f"is damaged: {missing}"
        reason = missing or self._break()
        if reason:
            return f"breaks off after {counted(self._n_frames, 'frame')}: {reason}"
        each = self._stream.codec_context.name in _A_PICTURE_EACH
        lost = min(self._n_lost, self._n_packets - self._n_frames) if each else 0
        bad = max(lost, self._n_bad)
        if bad:
            return f"is damaged: {bad} of {self._n_packets} packets cannot be decoded"
        if self._n_flawed:
            return f"is damaged: {self._n_flawed} of {self._n_frames} frames are decoded with errors"
        return None

    def _has_all(self) -> bool:
        return self._n_frames >= self._stream.frames > 0

    def _missing(self) -> str | None:
        """Say what the file lacks by its bytes, which may be gone by now."""
        if self._has_all() or not self._path:
            return None
        with suppress(OSError):
            return cut_short(self._path)

    def _break(self) -> str | None:
        """Say why decoding ended before the pictures did."""
        behind = len(self._waiting)
        if not self._has_all():
            promised = self._promised()
            if promised - self._end > _TOLERANCE + self._longest:
                return f"the file promises {promised:.2f} seconds"
        if behind > 1 or (behind and self._n_bad):
            return "the last packets cannot be decoded"
        if self._ends_cut or self._ends_flawed:
            return "the last packet is cut or damaged"
        return None

    def _promised(self) -> float:
        """Read the length in seconds from the file's header; 0 if it is unknown."""
        says = self._container.format.name in _SAY_HOW_LONG
        return (self._container.duration or 0) / 1e6 if says else 0.0
