from __future__ import annotations

import jax
import numpy as np
import pytest
from engine import (
    as_points,
    box_of,
    draw_face,
    openface_model,
    quick_config,
    synthetic_face,
    synthetic_model,
)
from shared_data import golden, shared

from jaxclnf import (
    FitConfig,
    Status,
    fit,
    fit_faces,
    fit_from,
    fit_on_cores,
    fit_sharded,
    fit_stream,
    landmarks,
)
from jaxclnf.batch.canvas import usual_side
from jaxclnf.data.datasets import read_faces

MODEL = synthetic_model(np.float32)
CONFIG = quick_config()
ALONE = 1e-4
"""Pixels: float32 rounds a face's place in a large photo otherwise than on its canvas."""


def photo(seed: int, size: tuple[int, int], corner: tuple[int, int]):
    """A face somewhere on a photo of any size, and its box."""
    _, truth = synthetic_face(seed, np.float32)
    points = np.asarray(landmarks(MODEL, truth)) + np.array(corner)
    image = draw_face(points, float(truth.scale), size, np.random.default_rng(seed))
    return image, box_of(MODEL, truth) + np.array([*corner, 0, 0])


PHOTOS = [
    photo(1, (160, 200), (0, 0)),
    photo(2, (300, 1200), (10, 120)),
    photo(4, (700, 900), (500, 400)),
    photo(5, (300, 1200), (900, -10)),
    photo(1, (600, 600), (420, 470)),  # cut by the photo's corner
]


@pytest.fixture(scope="module")
def results():
    return fit_faces(MODEL, [image for image, _ in PHOTOS], [box for _, box in PHOTOS], CONFIG)


def test_photos_of_any_size_give_what_each_face_gives_alone(results) -> None:
    for i in (1, 3):  # of one size: each is compiled for
        image, box = PHOTOS[i]
        alone = fit(MODEL, image, box.astype(np.float32), CONFIG)
        np.testing.assert_allclose(results.landmarks[i], alone.landmarks, atol=20 * ALONE)
        np.testing.assert_allclose(results.params.translation[i], alone.params.translation, atol=20 * ALONE)
        assert isinstance(results.landmarks, np.ndarray)
    assert (results.status == Status.OK).all()


def test_rows_follow_the_images_then_their_boxes(results) -> None:
    (first, box), (second, other) = PHOTOS[0], PHOTOS[2]
    found = fit_faces(MODEL, [second, first], [np.stack([other, other + 2, other - 1]), box], CONFIG)
    assert found.landmarks.shape == (4, 12, 2)
    np.testing.assert_allclose(found.landmarks[0], results.landmarks[2], atol=ALONE)
    np.testing.assert_allclose(found.landmarks[3], results.landmarks[0], atol=ALONE)


def test_a_stream_gives_the_same_in_order(results) -> None:
    for i, result in enumerate(fit_stream(MODEL, iter(PHOTOS), CONFIG)):
        np.testing.assert_allclose(result.landmarks, results.landmarks[i], atol=ALONE)
    assert i == len(PHOTOS) - 1


def test_bad_faces_are_statuses_and_spoil_no_other(results) -> None:
    image, box = PHOTOS[0]
    nan_image = np.where(np.arange(200) < 100, image, np.nan).astype(np.float32)
    bad = [
        (nan_image, box, Status.NOT_FINITE),
        (image, box * np.array([1, 1, 0, 1]), Status.BOX_INVALID),
        (image, box * np.array([1, 1, -1, 1]), Status.BOX_INVALID),
        (image, np.full(4, np.nan), Status.BOX_INVALID),
        (image, np.array([1e9, 0, 1e300, np.inf]), Status.BOX_INVALID),
        (image, np.append(box, np.nan), Status.BOX_INVALID),
        (image, box + np.array([1e4, 0, 0, 0]), Status.BOX_OUTSIDE),
        (image, np.array([80.0, 60, 6, 6]), Status.FACE_TOO_SMALL),
    ]
    faces = [(image, box), *((i, b) for i, b, _ in bad), PHOTOS[1]]
    found = fit_faces(MODEL, [i for i, _ in faces], [b for _, b in faces], CONFIG)
    assert [Status(s) for s in found.status[1:-1]] == [status for *_, status in bad]
    np.testing.assert_allclose(found.landmarks[[0, -1]], results.landmarks[:2], atol=ALONE)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (160, 200)])
def test_an_image_without_a_face_breaks_nothing(size) -> None:
    found = fit_faces(MODEL, [np.full(size, 128, np.uint8)], [np.array([-50.0, -40, 150, 120])], CONFIG)
    assert np.isfinite(found.landmarks).all()


def test_a_dark_image_spoils_no_other_face(results) -> None:
    """Of floats up to 1, among brighter ones, wherever it comes; a stream has to see one of these first."""
    (image, box), dark = PHOTOS[0], np.full((160, 200), 0.7, np.float32)
    for order in ([image, dark], [dark, image]):
        found = fit_faces(MODEL, order, [box, box], CONFIG)
        own = 0 if order[0] is image else 1
        np.testing.assert_allclose(found.landmarks[own], results.landmarks[0], atol=ALONE)
        assert found.status[own] == Status.OK and found.status[1 - own] == Status.TOO_DARK
    streamed = list(fit_stream(MODEL, [(image, box), (dark, box), (image, box)], CONFIG))
    assert [int(each.status) for each in streamed] == [Status.OK, Status.TOO_DARK, Status.OK]
    with pytest.raises(ValueError, match="up to 0.7: multiply it by 255"):
        list(fit_stream(MODEL, [(dark, box), (image, box)], CONFIG))
    noise = (np.arange(200) % 2 * np.ones((160, 1))).astype(np.float32)
    assert next(fit_stream(MODEL, [(noise, box)], CONFIG)).status == Status.TOO_DARK


def test_no_boxes_give_no_faces(results) -> None:
    image, _ = PHOTOS[0]
    for images, boxes in (([], []), ([image, image], [np.zeros((0, 4))] * 2)):
        none = fit_faces(MODEL, images, boxes, CONFIG)
        for empty, full in zip(jax.tree.leaves(none), jax.tree.leaves(results), strict=True):
            assert (empty.shape, empty.dtype) == ((0, *full.shape[1:]), full.dtype)
    for no_images, no_boxes in ((np.zeros((0, 9, 9), np.uint8), np.zeros((0, 4))), ([], [])):
        assert fit_on_cores(MODEL, no_images, no_boxes, CONFIG).status.shape == (0,)
        assert fit_sharded(MODEL, no_images, no_boxes, CONFIG).status.shape == (0,)


def test_results_are_in_the_models_precision(results) -> None:
    """So that a fit can go on from them, also where 64 bits are JAX's own."""
    kinds = {np.dtype(kind) for kind in (np.float32, np.int32, np.bool_)}
    assert {np.asarray(a).dtype for a in jax.tree.leaves(results)} == kinds
    (image, _), first = PHOTOS[0], jax.tree.map(lambda a: a[0], results)
    with jax.enable_x64(True):
        on = jax.eval_shape(fit_from, MODEL, image, first.params, CONFIG)
    assert {a.dtype for a in jax.tree.leaves(on)} == kinds


def test_faces_before_an_invalid_one_come_out_before_it_is_refused(results) -> None:
    def stream():
        yield from PHOTOS
        yield PHOTOS[0][0], np.zeros(3)

    found = []
    with pytest.raises(ValueError, match=r"box of shape \(3,\)"):
        found.extend(fit_stream(MODEL, stream(), CONFIG))
    assert len(found) == len(PHOTOS)
    np.testing.assert_allclose(found[-1].landmarks, results.landmarks[-1], atol=ALONE)


def test_new_numbers_of_faces_compile_nothing_new(results, caplog: pytest.LogCaptureFixture) -> None:
    image, box = PHOTOS[0]
    fit_faces(MODEL, [image] * 8, [box] * 8, CONFIG)
    with jax.log_compiles(True), caplog.at_level("WARNING"):
        for n in (2, 3, 5, 7):
            fit_faces(MODEL, [image] * n, [box] * n, CONFIG)
    assert not [r.getMessage() for r in caplog.records if "ompil" in r.getMessage()]


def test_misuse_is_refused_in_one_sentence() -> None:
    image, box = PHOTOS[0]
    with pytest.raises(ValueError, match=r"got one alone: give \[image\]"):
        fit_faces(MODEL, list(image), [box], CONFIG)
    with pytest.raises(ValueError, match="got 2 images and 1 boxes"):
        fit_faces(MODEL, [image, image], [box], CONFIG)
    for none in (np.zeros((0, 0), np.uint8), np.array("a.jpg")):
        with pytest.raises(ValueError, match="expected a grey image"):
            fit_faces(MODEL, [none], [box], CONFIG)
    with pytest.raises(ValueError, match=r"grey image .* shape \(160, 200, 3\)"):
        fit_faces(MODEL, [np.stack([image] * 3, axis=-1)], [box], CONFIG)
    with pytest.raises(ValueError, match=r"box of shape \(3,\)"):
        fit_faces(MODEL, [image], [box[:3]], CONFIG)


def test_parity_with_openface_on_real_faces() -> None:
    """Some of LFPW's faces, all on canvases of one size; `experiments/01_parity` measures them all."""
    model, arrays = openface_model(np.float32), golden("lfpw_test_fits_golden")
    faces = read_faces([shared("faces", "lfpw_test")])
    images, boxes = faces.images(), faces.boxes
    alike = [i for i, box in enumerate(boxes) if usual_side(images[i], box) == 256][:24]
    assert len(alike) == 24
    found = fit_faces(model, [images[i] for i in alike], [boxes[i] for i in alike], FitConfig.openface())
    expected = as_points(arrays["single_default/landmarks"])[alike]
    distance = np.linalg.norm(found.landmarks - expected, axis=-1).mean(axis=1)
    assert np.median(distance) <= 1e-3
    assert np.percentile(distance, 95) <= 0.05


def test_threads_compute_in_the_precision_of_the_one_that_asks(results) -> None:
    image, box = PHOTOS[0]
    with jax.enable_x64(True):
        found = fit_faces(synthetic_model(np.float64), [image], [box], CONFIG).landmarks
    assert found.dtype == np.float64
    np.testing.assert_allclose(found[0], results.landmarks[0], atol=1e-3)
