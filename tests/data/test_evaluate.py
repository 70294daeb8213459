"""Figures of an evaluation, against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jaxclnf.data.charts import draw_cumulative_errors
from jaxclnf.data.datasets import Faces
from jaxclnf.data.evaluate import (
    by_group,
    by_yaw,
    cumulative,
    figures,
    mean_offset,
    point_errors,
    start_boxes,
)

ERRORS = np.array([2.0, 4.0, 6.0, 12.0])


def test_figures_by_hand():
    f = figures(ERRORS)
    assert (f.faces, f.failed) == (4, 0)
    assert f.mean == pytest.approx(6.0)
    assert f.median == pytest.approx(5.0)
    assert f.large == pytest.approx(25.0)
    # The curve is a step up of a quarter at 2, 4 and 6: (6 + 4 + 2) / 4 / 8
    assert f.area == pytest.approx(0.375)


def test_area_is_that_under_the_curve():
    errors = np.random.default_rng(0).uniform(0, 12, 200)
    limits = np.linspace(0, 8, 80001)
    under = np.trapezoid(cumulative(errors, limits), limits) / 8
    assert figures(errors).area == pytest.approx(under, abs=1e-4)


def test_a_face_that_was_not_fitted_counts_as_large():
    f = figures(np.array([2.0, np.inf]))
    assert (f.failed, f.large, f.mean) == (1, 50.0, 2.0)
    assert f.area == pytest.approx(0.375)
    none = figures(np.array([np.inf]))
    assert (none.failed, none.mean, none.area) == (1, np.inf, 0)


def test_point_errors_are_percent_of_the_eye_distance():
    truth = np.zeros((3, 2, 2))
    landmarks = truth + [3, 4]
    landmarks[1] = np.nan
    errors = point_errors(landmarks, truth, np.array([100.0, 50, 50]), np.array([True, True, False]))
    np.testing.assert_allclose(errors, [[5, 5], [np.inf, np.inf], [np.inf, np.inf]])


def test_the_mean_offset_is_that_of_the_faces_that_were_fitted():
    truth, eyes = np.random.default_rng(0).uniform(0, 100, (4, 68, 2)), np.linspace(20, 50, 4)
    moved = truth + np.array([0.03, -0.02]) * eyes[:, None, None]
    moved[2], moved[3] = 1e6, np.nan
    fitted = np.array([True, True, False, True])
    np.testing.assert_allclose(mean_offset(moved, truth, eyes, fitted), [3, -2], atol=1e-9)
    np.testing.assert_array_equal(mean_offset(moved, truth, eyes, ~fitted & False), 0)


def test_groups_and_yaws():
    per_point = np.array([[1.0, 3.0, 8.0], [3.0, 5.0, 0.0]])
    groups = by_group(per_point, {"first two": (0, 1), "last": (2,)})
    assert groups["first two"].mean == pytest.approx(3.0)
    assert groups["last"].mean == pytest.approx(4.0)
    turned = by_yaw(ERRORS, np.array([5.0, -15.0, 15.0, -80.0]))
    assert [turned[k].faces for k in turned] == [1, 2, 0, 1]
    assert turned["10-20°"].mean == pytest.approx(5.0)


def test_cumulative_counts_the_limit_itself():
    np.testing.assert_allclose(cumulative(ERRORS, np.array([1.9, 2.0, 6.0])), [0, 0.25, 0.75])


def test_without_boxes_fits_start_tight_around_the_points():
    points = np.array([[[1, 2], [11, 5], [4, 22.0]]], np.float32)
    np.testing.assert_array_equal(start_boxes(Faces((Path("a.png"),), points)), [[1, 2, 10, 20]])


def test_chart_is_written(tmp_path):
    draw_cumulative_errors(tmp_path / "ced.png", {"a model": ERRORS, "another": ERRORS + 1})
    assert (tmp_path / "ced.png").read_bytes().startswith(b"\x89PNG")
