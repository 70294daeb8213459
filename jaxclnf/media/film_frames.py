"""Single frames of a film that this program has written, by their times, without decoding all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from jaxclnf.media.images import RGB

_ROUNDED = 6e-4
"""Seconds by which times in tables, which are rounded, may differ from those in the film."""


def frames_at(film: Path, times: Iterable[float]) -> Iterator[RGB]:
    """Yield the frames shown at ``times`` (seconds), up to the first that cannot be read."""
    with suppress(FFmpegError, OSError, IndexError), film.open("rb") as file, av.open(file) as container:
        container.streams.video[0].thread_type = "AUTO"
        for time in times:
            shown = _frame_at(container, time)
            if shown is None:
                return
            yield shown.to_ndarray(format="rgb24")


def _frame_at(container: Any, time: float) -> Any:
    """Decode from the key frame before on, up to the frame; None if there is none."""
    container.seek(round(time * av.time_base))
    return next((frame for frame in container.decode(video=0) if frame.time >= time - _ROUNDED), None)
