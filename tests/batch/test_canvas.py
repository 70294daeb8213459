from __future__ import annotations

import tracemalloc
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from engine import box_of, draw_face, synthetic_config, synthetic_face, synthetic_model

import jaxclnf
from jaxclnf import fit_faces
from jaxclnf.batch import canvas as canvases
from jaxclnf.batch.canvas import cut, usual_side
from jaxclnf.batch.placed_faces import on_canvas
from jaxclnf.batch.reductions import reduction

landmarks = jax.jit(jaxclnf.landmarks)
PHOTO = Path(__file__).parents[2] / "docs" / "grace_hopper.png"
BOX = np.array([220.0, 150, 80, 100])


def photo() -> np.ndarray:
    """Smooth enough to be looked up between pixels."""
    y, x = np.mgrid[:400, :500]
    return (128 + 60 * np.sin(x / 23) + 50 * np.cos(y / 31)).astype(np.float32)


@pytest.mark.parametrize("roll", [0.0, 0.6, -2.0])
@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_a_canvas_shows_what_its_photo_has_there(roll: float, scale: float) -> None:
    image = photo()
    canvas = cut(image, BOX, roll, 96, scale)
    assert canvas.pixels.shape == (96, 96)
    assert canvas.scale == pytest.approx(scale, rel=0.01)
    for point in np.array([[10.0, 20], [48, 50], [80, 33]]):
        x, y = np.round(canvas.in_photo(point)).astype(int)
        near = canvas.of_photo(np.array([x, y], float))
        got = canvas.pixels[tuple(np.round(near[::-1]).astype(int))]
        assert got == pytest.approx(image[y, x], abs=5)
        np.testing.assert_allclose(canvas.in_photo(canvas.of_photo(point)), point, atol=1e-9)


@pytest.mark.parametrize("roll", [0.0, 0.6])
def test_what_is_known_of_an_error_is_told_in_the_photo_s_pixels(roll: float) -> None:
    canvas = cut(photo(), BOX, roll, 96, 0.4)
    covariance = np.array([[4.0, 1.5], [1.5, 2]])
    points = np.random.default_rng(0).multivariate_normal([40, 50], covariance, 400)
    on_canvas, in_photo = (np.cov(p.T) for p in (points, canvas.in_photo(points)))
    np.testing.assert_allclose(canvas.spread_in_photo(on_canvas), in_photo, rtol=1e-6)


def test_certainties_of_a_reduced_face_grow_with_it() -> None:
    """A photo enlarged four times has the same face, whose landmarks lie four times as far off."""
    model, image = jaxclnf.load_model(), jaxclnf.to_grey(jaxclnf.read_photo(PHOTO))
    box = np.array([185, 110, 175, 175], np.float32)
    small, large = (
        fit_faces(model, [np.kron(image, np.ones((k, k), np.uint8))], k * box[None]) for k in (1, 4)
    )
    ratio = np.linalg.det(large.covariance[0]) / np.linalg.det(small.covariance[0])
    assert np.median(ratio) ** 0.25 == pytest.approx(4, rel=0.1)


def test_a_level_canvas_that_is_not_reduced_holds_the_photo_s_own_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 300)).astype(np.uint8)
    canvas = cut(image, np.array([100.0, 100, 50, 50]), 0.0, 64, 1.0)
    x, y = canvas.corner
    np.testing.assert_array_equal(canvas.pixels, image[y : y + 64, x : x + 64])


def test_reduction_averages_areas() -> None:
    """A checkerboard of single pixels turns grey: nothing coarse comes of what is fine."""
    board = (255 * (np.indices((400, 400)).sum(axis=0) % 2)).astype(np.uint8)
    pixels = cut(board, np.array([100.0, 100, 200, 200]), 0.0, 128, 0.5).pixels
    assert np.abs(pixels.astype(int) - 128).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(40, 3000), (3000, 40), (200, 900, 3), (1, 1)])
def test_a_strip_is_reduced_as_if_its_border_were_repeated(shape, dtype, monkeypatch) -> None:
    """The ordinary way makes all those pixels; both are equal but for the rounding of halves."""
    image = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    box, side, reduction = np.array([-500.0, -900, 3000, 1800]), 256, 0.07
    monkeypatch.setattr(canvases, "_PADDED", 1 << 30)
    expected = cut(image, box, 0.0, side, reduction)
    monkeypatch.setattr(canvases, "_PADDED", 0)
    found = cut(image, box, 0.0, side, reduction)
    assert (found.scale, found.pixels.dtype) == (expected.scale, expected.pixels.dtype)
    np.testing.assert_array_equal(found.corner, expected.corner)
    difference = np.abs(found.pixels.astype(float) - expected.pixels)
    assert difference.max() <= (1 if dtype == np.uint8 else 1e-2)
    assert difference.mean() < 1e-3


@pytest.mark.parametrize("roll", [0.0, 0.5])
def test_a_strip_with_a_box_that_is_no_face_takes_little_memory(roll: float) -> None:
    """Its canvas shows 20,000 x 20,000 pixels, of which the photo has 2 million."""
    image = np.full((100, 20_000), 100, np.uint8)
    tracemalloc.start()
    pixels = cut(image, np.array([-5000.0, -9000, 30_000, 20_000]), roll, 256, 256 / 20_000).pixels
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (pixels == 100).all()
    assert peak < 24 * image.size


@pytest.mark.parametrize("shape", [(1080, 2560), (1500, 2000), (4000, 1200)])
def test_faces_that_fill_their_photo_are_cut_out_as_small_ones_are(shape, monkeypatch) -> None:
    """So that their pixels are the same, bit by bit, whatever is done for strips."""
    image, size = np.full(shape, 100, np.uint8), min(shape)
    box = np.array([(shape[1] - size) / 2, (shape[0] - size) / 2, size, size])
    monkeypatch.delattr(canvases, "_reduced_alone")
    for roll in (0.0, 0.5):
        for resolution in (0.3, 1.25):
            reduced = partial(reduction, np.array([150.0, 160]), resolution)
            face = on_canvas(0, image, np.append(box, roll), reduced)
            assert face.canvas.scale < 1


def test_large_faces_are_reduced_and_small_ones_are_not() -> None:
    mean_size = np.array([100.0, 120])
    assert reduction(mean_size, 1.25, np.array([0, 0, 500.0, 600])) == pytest.approx(0.25)
    assert reduction(mean_size, 1.25, np.array([0, 0, 100.0, 120])) == 1
    assert reduction(mean_size, 0.0, np.array([0, 0, 500.0, 600])) == 1
    assert usual_side(np.zeros((3000, 3000)), np.array([0, 0, 1000.0, 1000]), 0.2) == 1024


@pytest.mark.parametrize("degrees", [-70, -30, 40])
def test_tilted_boxes_lead_to_tilted_faces(degrees: int) -> None:
    """The same face, painted tilted, is found in a box that is tilted with it, and not in a level one."""
    model, (_, params) = synthetic_model(np.float32), synthetic_face(1, np.float32)
    upright = np.asarray(landmarks(model, params))
    x, y, w, h = box_of(model, params)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    middle = np.array([x + w / 2, y + h / 2])
    truth = (upright - middle) @ np.array([[c, s], [-s, c]]) + 150
    image = draw_face(truth, float(params.scale), (300, 300), np.random.default_rng(2))
    level = np.array([150 - w / 2, 150 - h / 2, w, h], np.float32)
    tilted = np.append(level, np.float32(np.radians(degrees)))
    config = synthetic_config()
    found = fit_faces(model, [image], [tilted], config)
    error = np.linalg.norm(found.landmarks[0] - truth, axis=1).mean()
    assert error < 3
    assert (
        error
        < 0.5 * np.linalg.norm(fit_faces(model, [image], [level], config).landmarks[0] - truth, axis=1).mean()
    )
    again = landmarks(model, type(params)(*(np.asarray(a)[0] for a in vars(found.params).values())))
    np.testing.assert_allclose(again, found.landmarks[0], atol=1e-2)


def test_faces_of_any_size_are_fitted_where_they_are() -> None:
    """Reduced by the settings' resolution, a face four times as large is fitted as well as it was."""
    model, (_, params) = synthetic_model(np.float32), synthetic_face(1, np.float32)
    points, box = np.asarray(landmarks(model, params)), box_of(model, params)
    image = draw_face(points, float(params.scale), (200, 200), np.random.default_rng(2))
    large = np.kron(image, np.ones((4, 4), np.uint8))
    config = replace(synthetic_config(), resolution=float(params.scale))
    found = fit_faces(model, [large], [4 * box + np.array([1.5, 1.5, 0, 0])], config)
    small = fit_faces(model, [image], [box], replace(config, resolution=0.0))
    assert np.linalg.norm(found.landmarks[0] - (4 * points + 1.5), axis=1).mean() < 6
    np.testing.assert_allclose((found.landmarks[0] - 1.5) / 4, small.landmarks[0], atol=1)
