from __future__ import annotations

import numpy as np

from jaxclnf.output.report.video_plots import _seen


def test_lines_break_where_a_face_is_gone() -> None:
    frames = [(1, 1), (2, 1), (3, 0), (4, 1), (7, 1), (8, 1)]
    rows = [{"frame": i, "face_id": 5, "success": ok, "confidence": 0.5} for i, ok in frames]
    rows.append({"frame": 2, "face_id": 6, "success": 1, "confidence": 0.1})
    values = [row["confidence"] for row in _seen(rows, 5)]
    np.testing.assert_array_equal(values, [0.5, 0.5, np.nan, 0.5, np.nan, 0.5, 0.5])
