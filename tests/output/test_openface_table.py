"""Tables byte for byte as OpenFace 2's own writer made them of the same values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shared_data import shared

from jaxclnf.output.openface_table import (
    OpenFaceTables,
    Release,
    header,
    photo_lines,
    spaced,
    video_line,
)
from jaxclnf.output.tables import MeasuredFace
from jaxclnf.types import EyeGaze, FaceParams, FitResult, Status


@pytest.fixture(scope="module")
def values() -> dict[str, np.ndarray]:
    with np.load(shared("golden", "csv_of2", "values.npz")) as file:
        return dict(file)


def face(values: dict[str, np.ndarray], i: int) -> MeasuredFace:
    rigid, one = values["params_global"][i], np.float32(1)
    result = FitResult(
        landmarks=values["landmarks_2d"][i].reshape(2, -1).T,
        params=FaceParams(rigid[0], rigid[1:4], rigid[4:6], values["params_local"][i]),
        log_likelihood=one,
        landmark_likelihoods=one,
        view=np.int32(0),
        iterations=np.zeros((3, 2), np.int32),
        converged=np.bool_(True),
        status=np.int32(Status.OK),
    )
    gaze = EyeGaze(
        directions=np.stack([values["gaze_0"][i], values["gaze_1"][i]]),
        angles=values["gaze_angle"][i],
        landmarks=values["eye_lmk_2d"][i].reshape(2, 2, 28).transpose(1, 2, 0),
        landmarks_camera=values["eye_lmk_3d"][i].reshape(3, 2, 28).transpose(1, 2, 0),
    )
    return MeasuredFace(result, values["confidence"][i], values["pose"][i], values["landmarks_3d"][i].T, gaze)


def test_a_video(values, tmp_path: Path) -> None:
    table = OpenFaceTables(Release.v2_1, 68, 34, 56).video(tmp_path / "t.csv")
    for i, time in enumerate(values["timestamp"]):
        table.add([video_line(i + 1, 0, time, bool(values["success"][i]), face(values, i))])
    table.finish()
    assert (tmp_path / "t.csv").read_bytes() == shared("golden", "csv_of2", "sequence.csv").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_a_photo(values, tmp_path: Path) -> None:
    faces = [face(values, i) for i in range(3)]
    OpenFaceTables(Release.v2_1, 68, 34, 56).write_photo(tmp_path / "t.csv", faces)
    assert (tmp_path / "t.csv").read_bytes() == shared("golden", "csv_of2", "image.csv").read_bytes()


def test_release_2_2_leaves_out_the_blanks(values) -> None:
    (line,) = photo_lines([face(values, 0)])
    assert spaced(line, Release.v2_2) == spaced(line, Release.v2_1).replace(", ", ",")


def test_without_eyes_there_is_no_gaze(values) -> None:
    names = header(68, 34, False)
    assert not any(name.startswith(("gaze", "eye")) for name in names.split(","))
    (line,) = photo_lines([face(values, 0)._replace(gaze=None)])
    assert len(line.split(",")) == len(names.split(","))


def test_what_came_to_nothing_is_zero(values) -> None:
    lost = face(values, 0)._replace(pose=np.full(6, np.nan))
    names, row = header(68, 34, True, 56).split(","), video_line(1, 0, 0.0, False, lost).split(",")
    assert row[names.index("pose_Tx")] == "0.0"
