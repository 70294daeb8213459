from __future__ import annotations

import numpy as np
import pytest

from jaxclnf.output.report.long_lines import PLACES, DrawnLine, drawn_line
from jaxclnf.output.report.video_plots import _Curve, _line, _seen, course

RATE, LENGTH = 30, 3600  # frames a second and seconds of a film of an hour


def line(frames: np.ndarray, values: np.ndarray) -> DrawnLine:
    return drawn_line(frames / RATE, values, np.diff(frames, prepend=frames[:1]) > 1, LENGTH)


def test_lines_break_where_a_face_is_gone() -> None:
    frames = [(1, 1), (2, 1), (3, 0), (4, 1), (7, 1), (8, 1)]
    rows = [
        {"frame": i, "timestamp": i, "face_id": 5, "success": ok, "confidence": i / 10} for i, ok in frames
    ]
    rows.append({"frame": 2, "timestamp": 2, "face_id": 6, "success": 1, "confidence": 0.1})
    drawn = _line(_seen(rows)[5], _Curve(0, "confidence"), 8)
    np.testing.assert_array_equal(drawn.values, [0.1, 0.2, np.nan, 0.4, np.nan, 0.7, 0.8])
    np.testing.assert_array_equal(drawn.times, 10 * drawn.values)
    assert drawn.marked == [3]  # alone


def test_a_dip_of_half_a_second_in_an_hour_is_drawn() -> None:
    frames = np.arange(RATE * LENGTH)
    values = 0.9 + 0.05 * np.sin(frames)
    values[50_007:50_022] = 0.02
    values[70_000:70_003] = np.nan
    drawn = line(frames, values)
    assert np.nanmin(drawn.values) == 0.02 and np.nanmax(drawn.values) == values[~np.isnan(values)].max()
    assert drawn.times[0] == 0 and drawn.times[-1] == frames[-1] / RATE
    assert len(drawn.values) <= 4 * PLACES and not drawn.marked


def test_short_visits_in_an_hour_are_drawn_and_marked() -> None:
    frames = np.concatenate([np.arange(20) + 2160 * i + 100 for i in range(50)])
    drawn = line(frames, np.linspace(0, 1, len(frames)))
    there = ~np.isnan(drawn.times)
    assert len(np.unique(np.round(drawn.times[there] / 72))) == 50 and (~there).sum() == 49
    assert drawn.marked == list(np.flatnonzero(there))


def test_a_flickering_face_has_no_more_points_than_can_be_seen() -> None:
    frames = np.arange(0, RATE * LENGTH, 2)
    drawn = line(frames, np.cos(frames))
    assert len(drawn.values) <= 4 * PLACES and np.nanmin(drawn.values) < -0.999
    assert not line(frames[:0], np.zeros(0)).marked


@pytest.mark.parametrize("frames", [[5], [5, 6], [5, 900]])
def test_a_face_seen_for_a_moment_leaves_a_mark_in_the_drawing(frames: list[int]) -> None:
    known = {"face_id": 0, "success": 1, "status": "ok", "confidence": 0.5, "pose_Tz": 500.0}
    known |= dict.fromkeys(("pose_Rx", "pose_Ry", "pose_Rz"), 0.1)
    drawing = course([known | {"frame": i, "timestamp": i / RATE} for i in frames], 0, LENGTH)
    of_line = drawing[drawing.index('id="line-0-confidence"') :].split('<g id="')[0]
    assert of_line.count("<use ") == len(frames)
