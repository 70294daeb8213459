"""The points of a plot's line that can be seen of a long course, however short what they show."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

PLACES = 1500
"""Times that a drawing can tell apart, about 0.6 pixels each."""

Numbers = Float[np.ndarray, " n"]


class DrawnLine(NamedTuple):
    """A line's points, with a NaN where it breaks, and those to be marked, as they alone can be seen."""

    times: Numbers
    values: Numbers
    marked: list[int]


def drawn_line(times: Numbers, values: Numbers, breaks: Bool[np.ndarray, " n"], span: float) -> DrawnLine:
    """Choose a line's points: of each place its first and last, its least and greatest value.

    ``breaks`` says before which points the line breaks, which it does where that can be seen; ``span`` is
    the time that the whole drawing takes.
    """
    if not len(times):
        return DrawnLine(times, values, [])
    place = span / PLACES
    kept = _kept(_numbered(times, place), values)
    apart, gone = np.diff(np.cumsum(breaks)[kept]) > 0, np.diff(times[kept]) >= place
    gaps = np.flatnonzero(apart & gone) + 1
    marked = _in_short_pieces(times[kept], gaps, 2 * place)
    after = marked + np.searchsorted(gaps, marked, side="right")
    broken_times, broken_values = (np.insert(numbers[kept], gaps, np.nan) for numbers in (times, values))
    return DrawnLine(broken_times, broken_values, after.tolist())


def _numbered(times: Numbers, place: float) -> Int[np.ndarray, " n"]:
    """Number the places of times; a time that goes back stays in the place before it."""
    return np.maximum.accumulate(((times - times[0]) / max(place, 1e-9)).astype(int))


def _kept(places: Int[np.ndarray, " n"], values: Numbers) -> Int[np.ndarray, " n_kept"]:
    """Choose the points that bound a line in each place; unknown values are neither least nor greatest."""
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    ends = np.append(starts[1:], len(places)) - 1
    least, greatest = (np.lexsort((order, places))[starts] for order in (values, -values))
    return np.unique(np.concatenate([starts, ends, least, greatest]))


def _in_short_pieces(
    times: Numbers, gaps: Int[np.ndarray, " n_gaps"], short: float
) -> Int[np.ndarray, " n_few"]:
    """Find the points of pieces, which begin at ``gaps``, that take less than the time ``short``."""
    pieces = np.split(np.arange(len(times)), gaps)
    few = [piece for piece in pieces if times[piece[-1]] - times[piece[0]] < short]
    return np.concatenate(few) if few else np.zeros(0, int)
