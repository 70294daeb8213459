from __future__ import annotations

from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import (
    as_params,
    as_points,
    box_of,
    openface_model,
    quick_config,
    synthetic_config,
    synthetic_face,
    synthetic_model,
)
from shared_data import golden

from jaxclnf import FitConfig, Status, fit, fit_batch, fit_batch_from, fit_from, landmarks
from jaxclnf.config import setting
from jaxclnf.fitting.face_params import params_from_box

SEEDS = (1, 2, 4, 5)
PARITY = 0.05
"""Pixels: OpenFace differs by up to 8e-5 between its own builds, and by more where the grid flips."""
ALONE = 1e-4
"""Pixels: other batch sizes sum in another order, in float32."""


def faces(dtype, seeds=SEEDS):
    """Images and boxes that are some pixels off, stacked."""
    pairs = [synthetic_face(seed, dtype) for seed in seeds]
    off = np.array([4.0, -3, 3, -4])
    boxes = [box_of(synthetic_model(dtype), truth) + off * (-1) ** i for i, (_, truth) in enumerate(pairs)]
    return np.stack([image for image, _ in pairs]), np.stack(boxes).astype(dtype)


def row(result, i: int):
    return jax.tree.map(lambda a: a[i], result)


def test_a_face_is_found(dtype) -> None:
    """From boxes that are off by 7 to 11 pixels at the landmarks."""
    model, (images, boxes) = synthetic_model(dtype), faces(dtype)
    for image, box, seed in zip(images, boxes, SEEDS, strict=True):
        truth = landmarks(model, synthetic_face(seed, dtype)[1])
        start = landmarks(model, params_from_box(model.pdm, jnp.asarray(box), jnp.zeros(3, dtype)))
        result = fit(model, image, box, synthetic_config())
        assert Status(int(result.status)) is Status.OK
        assert np.linalg.norm(start - truth, axis=1).mean() > 5
        assert np.linalg.norm(result.landmarks - truth, axis=1).mean() < 0.5
        np.testing.assert_allclose(result.landmarks, landmarks(model, result.params), atol=ALONE)
        chex.assert_tree_all_finite(result)
        assert result.landmarks.dtype == dtype


class TestOpenFace:
    """Whole fits of two photos: their ends, likelihoods, numbers of steps."""

    @pytest.mark.parametrize("case", ["default_init", "hyp_yaw30", "hyp_yaw69_profile"])
    def test_default_settings(self, case: str) -> None:
        self.check(case, FitConfig.openface())

    def test_small_windows(self) -> None:
        self.check("small_windows_continue", FitConfig.openface().tracking())

    def test_weighted_landmarks(self) -> None:
        wild = FitConfig.openface_wild()
        self.check("nurlms_weight2.5", wild.changed(windows=(11, 9, 7, 5)))

    def check(self, case: str, config: FitConfig) -> None:
        model, images = openface_model(np.float32), golden("images_gray")
        size = np.max([image.shape for image in images.values()], axis=0)
        for name in ("sample1", "sample3"):
            arrays = golden("fit_trace_golden", f"{name}/{case}/")
            image = next(image for key, image in images.items() if key.startswith(name))
            # Beyond the photo its border goes on, so that all photos fit through one compiled program.
            image = np.pad(image, [(0, n - k) for n, k in zip(size, image.shape, strict=True)], mode="edge")
            local = arrays.get("start_local", np.zeros(34))
            start = as_params(arrays["start_global"], local, np.float32)
            result = fit_from(model, image, start, config)
            distance = np.linalg.norm(result.landmarks - as_points(arrays["final_landmarks"]), axis=1)
            assert distance.mean() < PARITY
            np.testing.assert_allclose(result.log_likelihood, arrays["final_model_likelihood"], atol=1e-3)
            expected = arrays["final_landmark_likelihoods"]
            np.testing.assert_allclose(result.landmark_likelihoods, expected, rtol=0.02, atol=1e-3)
            self.check_iterations(name, case, config, result)

    def check_iterations(self, name: str, case: str, config: FitConfig, result) -> None:
        for i, stage in config.stages_on(n_scales=3):
            counts = result.iterations[i]
            trace = golden("fit_trace_golden", f"{name}/{case}/scale{stage.scale}/")
            steps = [
                sum(k.startswith(s) and k.endswith("_rhs") for k in trace) for s in ("rigid_", "nonrigid_")
            ]
            np.testing.assert_array_equal(counts, steps)


class TestBatches:
    """Every way to fit several faces gives each of them what it gets alone."""

    def alone(self, dtype, config=None):
        model, (images, boxes) = synthetic_model(dtype), faces(dtype)
        results = [
            fit(model, *pair, config or synthetic_config()) for pair in zip(images, boxes, strict=True)
        ]
        return model, images, boxes, np.stack([r.landmarks for r in results])

    def test_fit_batch(self, dtype) -> None:
        model, images, boxes, expected = self.alone(dtype)
        for order in (np.arange(4), np.array([2, 0, 3, 1])):
            found = fit_batch(model, images[order], boxes[order], synthetic_config())
            np.testing.assert_allclose(found.landmarks, expected[order], atol=ALONE)

    def test_many_boxes_on_one_image(self) -> None:
        model, images, boxes, _ = self.alone(np.float32)
        boxes = boxes[0] + np.arange(4, dtype=np.float32)[:, None]
        found = fit_batch(model, images[0], boxes, synthetic_config())
        for i, box in enumerate(boxes):
            alone = fit(model, images[0], box, synthetic_config())
            np.testing.assert_allclose(found.landmarks[i], alone.landmarks, atol=ALONE)

    def test_the_likeliest_start_is_kept(self) -> None:
        starts = np.array([[0, 0.9, 0], [0, 0, 0], [0, -0.9, 0]], np.float32)
        model, images, boxes, _ = self.alone(np.float32)
        single = synthetic_config()
        found = fit_batch(model, images, boxes, replace(single, start_rotations=starts))
        each = [fit_batch(model, images, boxes, replace(single, start_rotations=s[None])) for s in starts]
        likelihoods = np.stack([r.log_likelihood for r in each])
        np.testing.assert_allclose(found.log_likelihood, likelihoods.max(0), rtol=1e-4)
        for i, best in enumerate(likelihoods.argmax(0)):
            np.testing.assert_allclose(found.landmarks[i], each[best].landmarks[i], atol=ALONE)

    def test_one_bad_image_spoils_its_own_face_only(self) -> None:
        model, images, boxes, expected = self.alone(np.float32)
        images[1] = np.nan
        found = fit_batch(model, images, boxes, synthetic_config())
        others = [0, 2, 3]
        assert Status(int(found.status[1])) is Status.NOT_FINITE
        assert (found.status[np.array(others)] == Status.OK).all()
        np.testing.assert_allclose(found.landmarks[np.array(others)], expected[others], atol=ALONE)

    def test_grey_from_0_to_1_that_nobody_looks_at_is_a_status(self) -> None:
        model, images, boxes, _ = self.alone(np.float32)
        images[1] /= 255
        found = fit_batch.unchecked(model, images, boxes, synthetic_config())
        assert found.status.tolist() == [Status.OK, Status.TOO_DARK, Status.OK, Status.OK]

    def test_one_bad_box_spoils_its_own_face_only(self) -> None:
        model, images, boxes, expected = self.alone(np.float32)
        boxes[2] = np.nan
        found = fit_batch(model, images, boxes, synthetic_config())
        others = [0, 1, 3]
        assert Status(int(found.status[2])) is Status.BOX_INVALID
        np.testing.assert_allclose(found.landmarks[np.array(others)], expected[others], atol=ALONE)


@pytest.mark.parametrize(
    "box, status",
    [
        ((50, 40, 0, 80), Status.BOX_INVALID),
        ((50, 40, 90, -80), Status.BOX_INVALID),
        ((50, np.nan, 90, 80), Status.BOX_INVALID),
        ((50, 40, np.inf, 80), Status.BOX_INVALID),
        ((-95, 40, 90, 80), Status.BOX_OUTSIDE),
        ((201, 40, 90, 80), Status.BOX_OUTSIDE),
        ((50, 400, 90, 80), Status.BOX_OUTSIDE),
        ((-89.9, 40, 90, 80), Status.BOX_OUTSIDE),
        ((-1e9, -1e9, 2e9, 2e9), Status.BOX_OUTSIDE),
        ((80, 60, 8, 8), Status.FACE_TOO_SMALL),
    ],
)
def test_a_bad_box_is_a_status(box, status: Status) -> None:
    image, _ = synthetic_face(1, np.float32)
    result = fit(synthetic_model(np.float32), image, np.array(box, np.float32), synthetic_config())
    assert Status(int(result.status)) is status


@pytest.mark.parametrize("size", [(160, 200), (1, 1)])
def test_an_image_without_a_face_breaks_nothing(size) -> None:
    """A constant image says nothing: every map is flat and the result is finite."""
    image, box = np.full(size, 128, np.float32), np.array([-50, -40, 150, 120], np.float32)
    result = fit(synthetic_model(np.float32), image, box, synthetic_config())
    chex.assert_tree_all_finite(replace(result, landmark_likelihoods=result.landmarks))
    sound = (Status.OK, Status.NOT_CONVERGED) if size != (1, 1) else (Status.BOX_OUTSIDE,)
    assert Status(int(result.status)) in sound


def test_a_box_much_larger_than_the_image_breaks_nothing() -> None:
    image, _ = synthetic_face(1, np.float32)
    box = np.array([-2000, -2000, 5000, 5000], np.float32)
    chex.assert_tree_all_finite(fit(synthetic_model(np.float32), image, box, synthetic_config()).landmarks)


def test_wrong_ranks_are_refused() -> None:
    model, config = synthetic_model(np.float32), synthetic_config()
    with pytest.raises(Exception, match="box"):
        fit_batch(model, np.zeros((2, 9, 9), np.float32), np.zeros((3, 4), np.float32), config)


@pytest.mark.parametrize("by", [(20, 0), (0, 12), (17, 9)])
def test_shifting_image_and_box_shifts_the_landmarks(by) -> None:
    model, (images, boxes) = synthetic_model(np.float32), faces(np.float32, (1,))
    shifted = np.roll(images[0], by[::-1], axis=(0, 1))
    config = synthetic_config()
    here = fit(model, images[0], boxes[0], config)
    there = fit(model, shifted, boxes[0] + np.array([*by, 0, 0], np.float32), config)
    np.testing.assert_allclose(there.landmarks - here.landmarks, np.tile(by, (12, 1)), atol=0.01)


@pytest.mark.parametrize("kind", [np.uint8, np.int32])
def test_images_of_any_number_type(kind) -> None:
    model, (images, boxes) = synthetic_model(np.float32), faces(np.float32, (1,))
    whole = images[0].round()
    expected = fit(model, whole, boxes[0], synthetic_config())
    found = fit(model, whole.astype(kind), boxes[0], synthetic_config())
    np.testing.assert_allclose(found.landmarks, expected.landmarks, atol=ALONE)


def test_every_matrix_product_is_in_full_precision() -> None:
    """By default a GPU rounds what goes into a product to some 10 bits: 0.02 pixels in the median face."""
    model, (images, boxes) = synthetic_model(np.float32), faces(np.float32, (1, 2))
    params = params_from_box(model.pdm, jnp.asarray(boxes[0], jnp.float32), jnp.zeros(3))
    for lowered in (
        fit_batch.lower(model, images, boxes, synthetic_config()),
        fit_from.lower(model, images[0], params, synthetic_config()),
    ):
        products = [line for line in lowered.as_text().splitlines() if "stablehlo.dot_general" in line]
        assert products
        assert all("[HIGHEST, HIGHEST]" in line for line in products)


def test_fit_from_the_boxes_start_is_fit() -> None:
    model, (images, boxes) = synthetic_model(np.float32), faces(np.float32, (1,))
    start = params_from_box(model.pdm, jnp.asarray(boxes[0]), jnp.zeros(3))
    found = fit_from(model, images[0], start, synthetic_config())
    expected = fit(model, images[0], boxes[0], synthetic_config())
    np.testing.assert_allclose(found.landmarks, expected.landmarks, atol=ALONE)


def test_a_start_off_the_image_is_a_status_and_one_half_off_it_is_none() -> None:
    model, (images, boxes) = synthetic_model(np.float32), faces(np.float32, (1,))
    start = params_from_box(model.pdm, jnp.asarray(boxes[0]), jnp.zeros(3))
    off = [replace(start, translation=jnp.full(2, place, jnp.float32)) for place in (-5000, 1e9)]
    off.append(replace(start, scale=start.scale * 1e6))
    half_off = replace(start, translation=start.translation * jnp.array([0.0, 1]))
    for params, expected in (*((p, Status.BOX_OUTSIDE) for p in off), (half_off, Status.OK)):
        found = fit_from(model, images[0], params, synthetic_config())
        assert int(found.status) == expected
    unknown = replace(start, translation=jnp.full(2, jnp.nan))
    assert fit_from(model, images[0], unknown, synthetic_config()).status == Status.NOT_FINITE


def test_other_values_compile_nothing_new() -> None:
    """Settings, boxes and starts are traced; only the structure of the settings is not."""
    model, (images, boxes) = synthetic_model(np.float32), faces(np.float32, (1,))
    config, start = synthetic_config(), params_from_box(model.pdm, jnp.asarray(boxes[0]), jnp.zeros(3))
    changes = [{name: setting(config, name) * np.float32(1.25)} for name in SETTINGS]
    changes += [{"start_rotations": config.start_rotations + np.float32(0.1)}]
    fit(model, images[0], boxes[0], config), fit_from(model, images[0], start, config)
    before = fit._cache_size(), fit_from._cache_size()
    results = [fit(model, images[0], boxes[0], config.changed(**change)) for change in changes]
    fit(model, images[0] + 1, boxes[0] + 2, config)
    moved = jax.tree.map(lambda a: a + 0.01, start)
    results += [fit_from(model, images[0], moved, config.changed(**change)) for change in changes]
    assert (fit._cache_size(), fit_from._cache_size()) == before
    assert len({float(r.landmarks[0, 0]) for r in results}) > len(SETTINGS)  # they do change the result
    fit(model, images[0], boxes[0], config.changed(iterations=3))
    assert fit._cache_size() == before[0] + 1


SETTINGS = ("reg_factor", "sigma", "weight_factor", "tolerance", "min_scale")


class TestDerivatives:
    """Of the whole fit, both modes, against central differences in float64."""

    RELATIVE = 1e-4

    @pytest.fixture(autouse=True)
    def float64(self):
        with jax.enable_x64(True):
            yield

    def check(self, function, inputs) -> None:
        """One direction for each input; ``function`` gives landmarks."""
        rng = np.random.default_rng(0)
        function = jax.jit(function)
        directions = jax.tree.map(
            lambda a: jnp.asarray(rng.normal(size=np.shape(a)) * (0.1 + np.abs(a))), inputs
        )
        towards = jnp.asarray(rng.normal(size=function(inputs).shape))
        forward = jax.jit(lambda x, v: jax.jvp(function, (x,), (v,))[1])
        backward = jax.jit(jax.grad(lambda x: jnp.sum(function(x) * towards)))(inputs)
        leaves, tree = jax.tree.flatten(directions)
        for i, leaf in enumerate(leaves):
            only = tree.unflatten([a if k == i else jnp.zeros_like(a) for k, a in enumerate(leaves)])
            shifted = [
                function(jax.tree.map(lambda a, v, e=e: a + e * v, inputs, only)) for e in (1e-6, -1e-6)
            ]
            difference = np.asarray(shifted[0] - shifted[1]) / 2e-6
            assert np.abs(difference).max() > 1e-6
            limit = self.RELATIVE * np.abs(difference).max()
            np.testing.assert_allclose(forward(inputs, only), difference, atol=limit)
            slope = float(jnp.sum(jax.tree.leaves(backward)[i] * leaf))
            np.testing.assert_allclose(slope, np.sum(difference * towards), atol=30 * limit)

    def settings(self, config: FitConfig):
        config = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), config)
        return config, {name: setting(config, name) for name in ("reg_factor", "sigma", "weight_factor")}

    def test_of_fit_by_settings_and_box(self) -> None:
        """Through all stages; the other ways into a fit through one."""
        model, (images, boxes) = synthetic_model(np.float64), faces(np.float64, (1,))
        config, traced = self.settings(synthetic_config())

        def found(inputs):
            settings, box = inputs
            return fit(model, jnp.asarray(images[0]), box, config.changed(**settings)).landmarks

        self.check(found, (traced, jnp.asarray(boxes[0])))

    def test_of_fit_from_by_start(self) -> None:
        model, (images, boxes) = synthetic_model(np.float64), faces(np.float64, (2,))
        config, _ = self.settings(quick_config())
        start = params_from_box(model.pdm, jnp.asarray(boxes[0]), jnp.asarray([0.05, -0.1, 0.02]))
        self.check(lambda p: fit_from(model, jnp.asarray(images[0]), p, config).landmarks, start)

    def test_of_fit_batch_by_settings(self) -> None:
        """Each face its own boxes; settings sum what every face asks for."""
        model, (images, boxes) = synthetic_model(np.float64), faces(np.float64, (1, 2, 4, 5))
        config, traced = self.settings(quick_config())

        def found(settings):
            return fit_batch(
                model, jnp.asarray(images), jnp.asarray(boxes), config.changed(**settings)
            ).landmarks

        self.check(found, traced)


@pytest.mark.parametrize(
    "box, changes, status",
    [
        ((80, 60, 24, 22), {"scales": (1,), "windows": (5,)}, Status.FACE_TOO_SMALL),
        ((80, 60, 24, 22), {"scales": (0,), "windows": (7,)}, Status.OK),
        (
            (60, 40, 90, 80),
            {"scale_margin": np.float32(100), "min_scale": np.float32(0)},
            Status.FACE_TOO_SMALL,
        ),
    ],
)
def test_what_no_stage_has_fitted_is_not_ok(box, changes, status: Status) -> None:
    image, _ = synthetic_face(1, np.float32)
    result = fit(synthetic_model(np.float32), image, np.array(box, np.float32), synthetic_config(**changes))
    assert np.isneginf(result.log_likelihood) == (status is not Status.OK)
    assert (int(result.status) in (Status.OK, Status.NOT_CONVERGED)) == (status is Status.OK)
    assert status is Status.OK or Status(int(result.status)) is status


def test_a_model_without_experts_has_no_stage() -> None:
    image, _ = synthetic_face(1, np.float32)
    model = replace(synthetic_model(np.float32), experts=())
    result = fit(model, image, np.array([60, 40, 90, 80], np.float32), synthetic_config())
    assert np.isneginf(result.log_likelihood) and Status(int(result.status)) is Status.NO_STAGE


def test_settings_on_no_scale_of_the_model_are_refused() -> None:
    image, _ = synthetic_face(1, np.float32)
    settings = synthetic_config(scales=(5,), windows=(7,))
    with pytest.raises(ValueError, match="expected one of the model's"):
        fit(synthetic_model(np.float32), image, np.array([60, 40, 90, 80], np.float32), settings)


@pytest.mark.parametrize("windows", [(7, 5), (8, 6), (7, 8)])
def test_even_windows_are_as_exact_as_odd_ones(windows) -> None:
    model, (images, boxes) = synthetic_model(np.float32), faces(np.float32, SEEDS)
    truth = np.stack([landmarks(model, synthetic_face(seed, np.float32)[1]) for seed in SEEDS])
    found = fit_batch(model, images, boxes, synthetic_config(windows=windows))
    assert np.linalg.norm(found.landmarks - truth, axis=-1).mean() < 0.5


def test_no_boxes_give_no_faces() -> None:
    model, config = synthetic_model(np.float32), synthetic_config()
    one = fit_batch(model, np.zeros((1, 9, 9), np.uint8), np.ones((1, 4), np.float32), config)
    single, several = np.zeros((9, 9), np.uint8), np.zeros((0, 9, 9), np.uint8)
    no_boxes = np.zeros((0, 4), np.float32)
    before = fit_batch._cache_size()
    nones = [
        fit_batch(model, *of, config) for of in ((single, no_boxes), (several, []), (single, ()), ([], []))
    ]
    assert fit_batch._cache_size() == before + 1  # whatever the images
    goes_on = [fit_batch_from(model, images, nones[0].params, config) for images in (several, [])]
    for none in (*nones, *goes_on):
        assert jax.tree.structure(none) == jax.tree.structure(one)
        for empty, full in zip(jax.tree.leaves(none), jax.tree.leaves(one), strict=True):
            assert (empty.shape, empty.dtype) == ((0, *full.shape[1:]), full.dtype)
    with pytest.raises(ValueError, match="expected one box an image; got 1 images and 0 boxes"):
        fit_batch(model, single[None], [], config)


@pytest.mark.parametrize("shape", [(0, 9), (9, 0), (9, 9, 3)])
def test_images_without_pixels_or_with_colours_are_refused(shape) -> None:
    model, config = synthetic_model(np.float32), synthetic_config()
    image, (_, params) = np.zeros(shape, np.uint8), synthetic_face(1, np.float32)
    for call in (
        lambda: fit_batch(model, image, np.ones((1, 4), np.float32), config),
        lambda: fit_from(model, image, params, config),
    ):
        with pytest.raises(Exception, match="image"):
            call()
