"""Where a lost face may be seen again: on the course that it took before it was lost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxclnf.batch.box_rows import box_about, middle
from jaxclnf.tracking.association import Box

REMEMBERED = 12
"""Places of a face that are remembered."""

GOES_ON = 25
"""Frames for which a lost face is supposed to go on as it went."""

_STOPS = 5  # places on its course, since it may also stand still where it cannot be seen

_LATELY = 5  # steps of a course that a face may have taken after it stood still


def with_latest(recent: tuple[Box, ...], box: Box) -> tuple[Box, ...]:
    """Append a face's place to those that are remembered."""
    return (*recent[1 - REMEMBERED :], box)


def places_again(recent: Sequence[Box], lost: int) -> list[Box]:
    """Boxes in which a face may be seen again that was lost so many frames after its ``recent`` places.

    They lie between where it was and where its course leads: the course of all that is remembered, and that
    of late. Fits of a face that is half covered shrink and stray: of sizes and steps the medians count.
    """
    boxes = np.array(recent)
    middles, size = middle(boxes), np.median(boxes[:, 2:], axis=0)
    steps = np.diff(middles, axis=0) if len(boxes) > 1 else np.zeros((1, 2))
    courses = [np.median(steps[-n:], axis=0) for n in (_LATELY, REMEMBERED)]
    stops = np.linspace(0, min(lost, GOES_ON), _STOPS)[:, None]
    there = np.concatenate([middles[-1] + course * stops for course in courses])
    return [box_about(place, size) for place in there]
