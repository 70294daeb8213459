"""The times at which the frames of a video are shown."""

from __future__ import annotations

import heapq
from fractions import Fraction
from typing import Any

# Containers that keep no times: FFmpeg numbers packets in the order of decoding, which is another than that
# of showing where pictures are made of later ones.
_WITHOUT_TIMES = ("avi",)
# Containers made to be cut and joined, each piece with times of its own.
_JOINED = ("mpegts", "mpeg")
_LEAST_BACK = 0.1  # seconds back that are a new piece, as in FFmpeg's own program


class Clock:
    """Times of pictures, seconds from the container's zero, as they come out of the decoder.

    They are the file's own; in a container without times the earliest that is left of the packets' turns; by
    the ``rate``, frames a second, where there is neither.
    """

    def __init__(self, container: Any, rate: float) -> None:
        self._turns: list[float] | None = [] if container.format.name in _WITHOUT_TIMES else None
        self._rate = rate
        self._last: float | None = None

    def note_packet(self, packet: Any) -> None:
        """Note a packet of pictures before it is decoded."""
        if self._turns is not None and packet.size and packet.dts is not None:
            heapq.heappush(self._turns, _turn(packet))

    def note_bad_packet(self, packet: Any) -> None:
        """Note that a packet gave no picture."""
        if self._turns and packet.dts is not None and _turn(packet) in self._turns:
            self._turns.remove(_turn(packet))
            heapq.heapify(self._turns)

    def time(self, picture: Any) -> float:
        """Give the time at which a picture is shown."""
        stamp = picture.pts if picture.pts is not None else picture.dts
        if self._turns:
            self._last = heapq.heappop(self._turns)
        elif stamp is not None and picture.time_base:
            self._last = float(Fraction(stamp) * picture.time_base)
        else:
            self._last = 0.0 if self._last is None else self._last + 1 / self._rate
        return self._last


class JoinedTimes:
    """Times of pictures in order of showing, which go on where a joined piece begins to count anew."""

    def __init__(self, container: Any, rate: float) -> None:
        self._may_be_joined, self._rate = container.format.name in _JOINED, rate
        self._added, self._last = 0.0, -float("inf")

    def time(self, shown: float) -> float:
        """Give the time since the first piece's zero of a picture with this time in its own piece."""
        if self._may_be_joined and shown + self._added < self._last - _LEAST_BACK:
            self._added = self._last + 1 / self._rate - shown
        self._last = shown + self._added
        return self._last


def _turn(packet: Any) -> float:
    return float(packet.dts * packet.time_base)
