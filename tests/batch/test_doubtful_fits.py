"""Faces that lie, or lie beside their box, are found at a second look; all others are looked at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from engine import synthetic_config, synthetic_model

import jaxclnf
from jaxclnf.batch.doubtful_fits import looks_again
from jaxclnf.batch.many_faces import _fit_canvases

PHOTO = Path(__file__).parents[2] / "docs" / "grace_hopper.png"
BOX = np.array([185, 110, 175, 175], np.float32)


def test_a_face_on_its_side_is_found_as_it_is_upright(monkeypatch: pytest.MonkeyPatch) -> None:
    model, upright = jaxclnf.load_model(), jaxclnf.to_grey(jaxclnf.read_photo(PHOTO))
    calls = []

    def counted(*arguments):
        calls.append(len(arguments[1]))
        return _fit_canvases(*arguments)

    monkeypatch.setattr("jaxclnf.batch.many_faces._fit_canvases", counted)
    expected = jaxclnf.fit_faces(model, [upright], BOX[None]).landmarks[0]
    assert calls == [1]
    lying = np.ascontiguousarray(np.rot90(upright, -1))  # (x, y) comes to (height - 1 - y, x)
    x, y = len(upright) - 1 - BOX[1] - BOX[3], BOX[0]
    found = jaxclnf.fit_faces(model, [lying], np.array([[x, y, BOX[3], BOX[2]]])).landmarks[0]
    assert len(calls) > 2
    back = np.stack([found[:, 1], len(upright) - 1 - found[:, 0]], 1)
    eyes = np.linalg.norm(expected[36] - expected[45])
    assert np.linalg.norm(back - expected, axis=1).mean() < 0.02 * eyes


def test_a_face_beside_its_box_is_found_from_where_the_first_look_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, photo = jaxclnf.load_model(), jaxclnf.to_grey(jaxclnf.read_photo(PHOTO))
    off = BOX + np.array([0.5 * BOX[2], 0, 0, 0], np.float32)
    expected = jaxclnf.fit_faces(model, [photo], BOX[None]).landmarks[0]
    eyes = np.linalg.norm(expected[36] - expected[45])

    def error() -> float:
        found = jaxclnf.fit_faces(model, [photo], off[None]).landmarks[0]
        return float(np.linalg.norm(found - expected, axis=1).mean() / eyes)

    assert error() < 0.03
    monkeypatch.setattr("jaxclnf.batch.doubtful_fits.FURTHER", 0)
    assert error() > 0.1


def test_only_networks_with_a_calibration_look_again() -> None:
    model = jaxclnf.load_model()
    assert looks_again(model, model.settings)
    assert not looks_again(synthetic_model(np.float32), synthetic_config())
