from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from engine import synthetic_config, synthetic_model
from scipy.stats import multivariate_t

from jaxclnf.models.storage import load_model
from jaxclnf.ops.certainty import FREEDOM
from jaxclnf.output.csv_cells import csv_text
from jaxclnf.output.photo_pipeline import photo_columns
from jaxclnf.output.tables import OWN, PHOTO, VIDEO, MeasuredFace, columns, empty_row, photo_row, video_row
from jaxclnf.output.video_pipeline import video_columns
from jaxclnf.types import FaceParams, FitResult, Status

N_POINTS, N_MODES = 5, 3


def found(status: Status = Status.OK) -> MeasuredFace:
    rng = np.random.default_rng(0)
    params = FaceParams(np.float32(2.5), *(rng.normal(size=n).astype(np.float32) for n in (3, 2, N_MODES)))
    result = FitResult(
        landmarks=rng.uniform(0, 999, (N_POINTS, 2)).astype(np.float32),
        params=params,
        log_likelihood=np.float32(-0.125),
        landmark_likelihoods=np.ones(N_POINTS, np.float32),
        view=np.int32(0),
        iterations=np.zeros((3, 2), np.int32),
        converged=np.bool_(True),
        status=np.int32(status),
    )
    return MeasuredFace(result, 0.75, rng.normal(size=6), rng.normal(size=(N_POINTS, 3)))


def read(names: list[str], *rows: list[str]) -> dict:
    text = io.StringIO()
    csv.writer(text).writerows([names, *rows])
    return pl.read_csv(io.StringIO(text.getvalue())).to_dicts()[0]


def test_openface_s_columns_in_openface_s_order() -> None:
    """The header of OpenFace 2.2's FeatureExtraction -pose -2Dfp -3Dfp -pdmparams, written out."""
    names = columns(68, 34, VIDEO)
    expected = "frame,face_id,timestamp,confidence,success,pose_Tx,pose_Ty,pose_Tz,pose_Rx,pose_Ry,pose_Rz"
    assert ",".join(names[:11]) == expected
    assert names[11:79] == [f"x_{i}" for i in range(68)]
    assert names[79:147] == [f"y_{i}" for i in range(68)]
    assert names[147:351] == [f"{axis}_{i}" for axis in "XYZ" for i in range(68)]
    assert names[351:357] == ["p_scale", "p_rx", "p_ry", "p_rz", "p_tx", "p_ty"]
    assert names[357:391] == [f"p_{i}" for i in range(34)]
    assert names[391:] == list(OWN)
    assert columns(68, 34) == [*PHOTO, *names[5:]]


@pytest.mark.releases
@pytest.mark.parametrize("video", [False, True])
def test_every_value_stands_under_its_name(video: bool) -> None:
    face = found()
    names = columns(N_POINTS, N_MODES, VIDEO if video else PHOTO)
    row = video_row("a.avi", 7, 0.2, 3, face, success=True) if video else photo_row("a.avi", 3, face)
    values = read(names, row)
    if video:
        assert (values["frame"], values["face_id"], values["timestamp"], values["success"]) == (7, 3, 0.2, 1)
    else:
        assert values["face"] == 3
    assert (values["source"], values["status"], values["confidence"]) == ("a.avi", "ok", 0.75)
    params = face.result.params
    expected = {"log_likelihood": -0.125, "p_scale": params.scale}
    expected |= {f"p_r{a}": v for a, v in zip("xyz", params.rotation, strict=True)}
    expected |= {f"p_t{a}": v for a, v in zip("xy", params.translation, strict=True)}
    expected |= {f"p_{i}": v for i, v in enumerate(params.shape)}
    expected |= {f"pose_T{a}": v for a, v in zip("xyz", face.pose[:3], strict=True)}
    expected |= {f"pose_R{a}": v for a, v in zip("xyz", face.pose[3:], strict=True)}
    for i in range(N_POINTS):
        expected |= {f"{a}_{i}": v for a, v in zip("xy", face.result.landmarks[i], strict=True)}
        expected |= {f"{a}_{i}": v for a, v in zip("XYZ", face.landmarks_camera[i], strict=True)}
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize("leading", [PHOTO, VIDEO])
def test_how_sure_each_landmark_is_stands_before_our_columns(leading: tuple[str, ...]) -> None:
    face, names = found(), columns(N_POINTS, N_MODES, leading, certainty=True)
    covariance = np.array([[4, 0.5], [0.5, 1]], np.float32) * np.arange(1, N_POINTS + 1)[:, None, None]
    face = face._replace(result=replace(face.result, covariance=covariance.astype(np.float32)))
    row = (
        photo_row("a.jpg", 0, face, True) if leading is PHOTO else video_row("a", 1, 0.0, 0, face, True, True)
    )
    values = read(names, row)
    assert names[-3 - 5 * N_POINTS] == "cov_xx_0" and names[-3:] == list(OWN)
    assert (values["cov_xx_1"], values["cov_xy_1"], values["cov_yy_1"]) == (8, 1, 2)
    tails = multivariate_t([0, 0], covariance[2] * (FREEDOM - 2) / FREEDOM, FREEDOM)
    draws = tails.rvs(100_000, random_state=0)
    assert (np.linalg.norm(draws, axis=1) < values["r90_2"]).mean() == pytest.approx(0.9, abs=0.005)
    assert all(np.isnan(values[f"visible_{i}"]) for i in range(N_POINTS))
    certain = ("cov_", "r90_", "visible_")
    assert columns(N_POINTS, N_MODES, leading) == [n for n in names if not n.startswith(certain)]


def test_the_probability_that_a_landmark_is_visible_stands_last() -> None:
    face, names = found(), columns(N_POINTS, N_MODES, certainty=True)
    known = np.linspace(0, 1, N_POINTS, dtype=np.float32)
    covariance = np.broadcast_to(np.eye(2, dtype=np.float32), (N_POINTS, 2, 2))
    face = face._replace(result=replace(face.result, covariance=covariance, visibility=known))
    values = read(names, photo_row("a.jpg", 0, face, True))
    assert [values[f"visible_{i}"] for i in range(N_POINTS)] == pytest.approx(known, abs=1e-6)


@pytest.mark.parametrize("names_of", [photo_columns, video_columns])
def test_certainty_that_no_network_tells_is_refused(names_of) -> None:
    """Of every table alike, on one machine or on a cluster."""
    model = synthetic_model(np.float32)
    with pytest.raises(ValueError, match="--certainty needs a convolutional expert"):
        names_of(model, synthetic_config(), certainty=True)
    shipped = load_model()
    assert "r90_67" in names_of(shipped, shipped.settings, certainty=True)


def test_a_fit_that_came_to_nothing_has_no_numbers() -> None:
    names = columns(N_POINTS, N_MODES)
    values = read(names, photo_row("a.jpg", 0, found(Status.BOX_OUTSIDE)))
    assert values["status"] == "box outside the photo"
    assert all(np.isnan(values[name]) for name in (*names[2:-3], "log_likelihood"))
    assert [bool(found(s).result.usable) for s in Status] == [True, True] + [False] * (len(Status) - 2)


def test_a_frame_without_a_face_has_its_row() -> None:
    values = read(
        columns(N_POINTS, N_MODES, VIDEO), empty_row(columns(N_POINTS, N_MODES, VIDEO), "a.avi", frame=9)
    )
    assert values["frame"] == 9
    assert (values["face_id"], values["success"], values["confidence"], values["status"]) == (
        0,
        0,
        0,
        "no face",
    )
    assert np.isnan(values["x_0"])


def test_readers_that_guess_types_by_the_first_rows_read_tables_that_begin_without_faces() -> None:
    names = columns(N_POINTS, N_MODES)
    rows = [*([empty_row(names, "a.jpg")] * 101), photo_row("b.jpg", 0, found())]
    table = pl.read_csv(csv_text([names, *rows]).encode())
    assert table["confidence"][-1] == 0.75
    assert table.dtypes == [pl.Int64, *([pl.Float64] * (len(names) - 4)), pl.String, pl.String, pl.Float64]


def test_landmarks_of_a_lost_face_are_no_numbers() -> None:
    names = columns(N_POINTS, N_MODES, VIDEO)
    values = read(names, video_row("a.avi", 7, 0.2, 3, found(), success=False))
    assert (values["status"], values["success"], values["confidence"]) == ("lost", 0, 0.75)
    assert values["log_likelihood"] == -0.125
    assert all(np.isnan(values[name]) for name in names[len(VIDEO) : -3])
