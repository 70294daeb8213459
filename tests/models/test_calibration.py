"""What a log-likelihood promises: right numbers that stay with the model; unknown where it has none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import chex
import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from openface_files import write_model
from shared_data import shared

import jaxclnf
from jaxclnf import FitConfig, FitResult, Model
from jaxclnf.models import known_calibrations
from jaxclnf.models.calibration import (
    SIGNS,
    by_likelihood,
    confidences,
    promised,
    seen_last_by_network,
    signs,
)
from jaxclnf.models.known_calibrations import experts_digest
from jaxclnf.models.npz import checksum
from jaxclnf.models.openface import convert_openface
from jaxclnf.models.storage import load_model, save_model
from jaxclnf.training.calibrate import FittedTrials, learned_from, logistic_curve
from jaxclnf.types import Calibration, FaceParams, Status


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


def results(
    model: Model, likelihoods: list[float], status: list[Status], config: FitConfig | None = None
) -> FitResult:
    """Fits of the mean face that say nothing but their likelihoods and status."""
    n = len(status)
    empty = jax.tree.map(lambda a: jnp.zeros((n, *a.shape)), model.pdm)
    params = FaceParams(jnp.ones(n), jnp.zeros((n, 3)), jnp.zeros((n, 2)), jnp.zeros((n, model.pdm.n_modes)))
    went = np.ones((n, len((config or model.settings).stages), 2), int)
    return FitResult(empty, params, np.array(likelihoods), empty, empty, went, empty, np.array(status))  # type: ignore


def test_confidences_are_a_logistic_curve(model: Model) -> None:
    """Half at the centre, 1 / (1 + 1 / e) a slope's inverse beyond it, 0 where nothing was fitted."""
    model, config = replace(model, calibration=by_likelihood(np.float32(-2), np.float32(4))), FitConfig()
    fits = results(model, [0.0, 0.0], [Status.OK, Status.BOX_INVALID], config)
    shift = -float(signs(model, fits, config)[0, 0])
    fits = results(
        model,
        [shift - 2, shift - 1.75, -np.inf, shift],
        [Status.OK, Status.NOT_CONVERGED, Status.OK, Status.NOT_FINITE],
        config,
    )
    np.testing.assert_allclose(
        confidences(model, fits, config), [0.5, 1 / (1 + np.exp(-1)), 0, 0], atol=1e-12
    )
    one = jax.tree.map(lambda a: a[1], fits)
    np.testing.assert_allclose(confidences(model, one, config), 1 / (1 + np.exp(-1)), atol=1e-12)


def test_confidences_have_the_axes_of_the_fits(model: Model) -> None:
    fits = results(model, [-3.0, -2.5, -2.0, -1.5], [Status.OK, Status.NOT_FINITE, Status.OK, Status.OK])
    square = jax.tree.map(lambda a: np.reshape(a, (2, 2, *a.shape[1:])), fits)
    np.testing.assert_array_equal(confidences(model, square), confidences(model, fits).reshape(2, 2))


def test_without_settings_they_are_of_the_model_s_own(model: Model) -> None:
    fits = results(model, [-1.0, -2.0], [Status.OK, Status.OK])
    own = jaxclnf.confidences(model, fits)
    np.testing.assert_array_equal(own, confidences(model, fits, model.settings))
    assert own[0] > own[1]


def test_signs_are_what_they_are_called(model: Model) -> None:
    fits = results(model, [-3.0, -3.0], [Status.OK, Status.OK])
    shape = np.zeros((2, model.pdm.n_modes))
    shape[1] = 2 * np.sqrt(model.pdm.eigenvalues)
    areas = np.exp(np.linspace(0, 1, model.pdm.n_points)) * np.ones((2, 1))
    params = replace(fits.params, scale=np.array([0.5, 5.0]), shape=shape)
    covariance = np.eye(2) * (areas * params.scale[:, None] ** 2)[..., None, None]
    found = signs(model, replace(fits, params=params, covariance=covariance), model.settings)
    expected = {"likelihood": [-3 - 2 * np.log(2)] * 2, "spread": [0.5] * 2, "widest": [0.9] * 2}
    expected |= {"shape": np.log([1e-3, 4]), "size": np.log([0.5, 1.25])}
    np.testing.assert_allclose(found, np.stack([expected[name] for name in SIGNS], 1), atol=1e-5)


def test_faces_too_small_for_patches_are_judged_as_a_network_s(model: Model) -> None:
    """By the curve of fits that end with a network, and by its likelihood as it is."""
    slopes = np.zeros((2, len(SIGNS)))
    slopes[1, 0] = 1
    model = replace(model, calibration=Calibration(slopes, np.array([0.0, 2.0])))  # type: ignore[arg-type]
    fits = results(model, [-3.0, -3.0], [Status.OK, Status.OK])
    went = np.asarray(fits.iterations).copy()
    went[1, -1] = 0
    fits = replace(fits, iterations=went)
    np.testing.assert_array_equal(seen_last_by_network(model, fits, model.settings), [False, True])
    np.testing.assert_allclose(signs(model, fits, model.settings)[:, 0], [-3 - 2 * np.log(2), -3], atol=1e-6)
    np.testing.assert_allclose(confidences(model, fits), [0.5, 1 / (1 + np.exp(1))], atol=1e-6)


def test_a_small_face_in_a_photo_ends_with_a_network(model: Model) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
    boxes = np.array([[80, 80, 40, 40], [30, 30, 140, 140]], np.float32)
    found = jaxclnf.fit_faces(model, [picture] * 2, list(boxes))
    np.testing.assert_array_equal(seen_last_by_network(model, found, model.settings), [True, False])


def test_each_kind_of_ending_has_a_curve_of_its_own() -> None:
    """Where one kind is missing it has the other's."""
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(400, len(SIGNS)))
    by_network = np.arange(400) % 2 == 1
    good = rng.random(400) < 1 / (1 + np.exp(-(2 * seen[:, 0] + np.where(by_network, 3, -1))))
    fitted = FittedTrials(seen, np.where(good, 1.0, 20.0), by_network)
    bias = np.asarray(learned_from(fitted).bias)
    assert bias[0] < 0 and bias[1] > 2
    for kind in (by_network, ~by_network):
        curve = learned_from(fitted.take(kind))
        np.testing.assert_array_equal(curve.slopes[0], curve.slopes[1])


def test_what_is_no_number_is_no_reason_to_be_sure(model: Model) -> None:
    fits = results(model, [-3.0, -3.0], [Status.OK, Status.OK])
    covariance = np.full((2, model.pdm.n_points, 2, 2), np.nan)
    params = replace(fits.params, scale=np.array([np.nan, -1.0]))
    sure = confidences(model, replace(fits, params=params, covariance=covariance), model.settings)
    assert (sure < 1e-3).all()


def test_pictures_without_faces_are_no_faces(model: Model) -> None:
    rng = np.random.default_rng(0)
    fine = rng.uniform(0, 255, (4, 160, 160))
    coarse = [
        cv2.resize(rng.uniform(0, 255, (9, 9)), (160, 160), interpolation=cv2.INTER_CUBIC) for _ in range(4)
    ]
    pictures = np.clip([*fine, *coarse], 0, 255).astype(np.uint8)
    found = jaxclnf.fit_faces(model, list(pictures), np.full((8, 4), [30, 30, 100, 100], np.float32))
    assert confidences(model, found, model.settings).max() < 0.05


@pytest.mark.parametrize("trace", [jax.jit, jax.vmap])
def test_traced_fits_are_refused_in_one_sentence(model: Model, trace) -> None:
    fits = results(model, [0.0, 0.0], [Status.OK, Status.OK])
    fits = replace(fits, landmarks=np.zeros((2, 68, 2)), landmark_likelihoods=np.zeros((2, 68)))
    fits = replace(fits, view=np.zeros(2), converged=np.zeros(2))
    with pytest.raises(ValueError, match="confidences need numbers"):
        trace(lambda fits: confidences(model, fits))(fits)


def test_confidences_of_a_model_without_calibration_are_unknown(model: Model) -> None:
    fits = results(model, [0.0, 0.0], [Status.OK, Status.BOX_INVALID])
    with pytest.raises(ValueError, match="went through 2 stages, and the settings have 4"):
        confidences(model, fits, FitConfig())
    sure = confidences(replace(model, calibration=None), fits)
    assert np.isnan(sure[0]) and sure[1] == 0


def test_a_calibration_stays_with_a_model_of_another_name(model: Model, tmp_path: Path) -> None:
    mine = replace(model, provenance=replace(model.provenance, name="mine"))
    mine = replace(mine, calibration=by_likelihood(np.float32(-1.5), np.float32(2.5)))
    save_model(mine, tmp_path / "mine.npz", np.float16)
    chex.assert_trees_all_equal(load_model(tmp_path / "mine.npz").calibration, mine.calibration)
    assert load_model(tmp_path / "mine.npz").learned == model.learned


def without_calibration(path: Path) -> None:
    """Make a file what files were before they held a calibration, digests and the kinds of experts."""
    with np.load(path) as file:
        new = ("calibration", "learned", "checksum")
        arrays = {name: file[name] for name in file.files if name.split("/")[0] not in new}
    header = json.loads(arrays["header"].tobytes())
    del header["experts"]
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **arrays, checksum=np.array(checksum(arrays)))  # type: ignore[arg-type]


def test_models_from_before_files_held_calibrations_are_known(tmp_path: Path, monkeypatch) -> None:
    model = convert_openface(write_model(tmp_path))
    monkeypatch.setitem(known_calibrations._CALIBRATIONS, experts_digest(model), (-1.5, 2.5))
    mine = replace(model, provenance=replace(model.provenance, name="mine"))
    save_model(mine, tmp_path / "old.npz", np.float16)
    without_calibration(tmp_path / "old.npz")
    expected = by_likelihood(np.float32(-1.5), np.float32(2.5))
    chex.assert_trees_all_equal(load_model(tmp_path / "old.npz").calibration, expected)


def test_calibrations_from_before_there_were_signs_promise_what_they_did(tmp_path: Path) -> None:
    model = replace(
        convert_openface(write_model(tmp_path)), calibration=by_likelihood(np.float32(0), np.float32(1))
    )
    save_model(model, tmp_path / "old.npz", np.float16)
    with np.load(tmp_path / "old.npz") as file:
        arrays = {name: file[name] for name in file.files if not name.startswith(("calibration", "checksum"))}
    arrays |= {"calibration/centre": np.float32(-1.5), "calibration/slope": np.float32(2.5)}
    np.savez(tmp_path / "old.npz", **arrays, checksum=np.array(checksum(arrays)))  # type: ignore[arg-type]
    calibration = load_model(tmp_path / "old.npz").calibration
    assert calibration is not None
    some = np.array([[-1.5, 0, 9, 9, 9], [-0.5, 0, 9, 9, 9], [-0.5, 1, 9, 9, 9]])
    odds = 1 / (1 + np.exp(-2.5))
    np.testing.assert_allclose(promised(calibration, some), [0.5, odds, 0.5], atol=1e-6)


def test_openfaces_models_are_known_by_what_they_are(tmp_path: Path) -> None:
    whole = shared("openface", "model", "main_clnf_general.txt")
    for path in whole.parent.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "any name.txt").write_text(whole.read_text())
    model = convert_openface(tmp_path / "any name.txt")
    known = convert_openface(whole).calibration
    assert known is not None
    chex.assert_trees_all_equal(model.calibration, known)
    save_model(model, tmp_path / "half.npz", np.float16)
    without_calibration(tmp_path / "half.npz")
    chex.assert_trees_all_equal(load_model(tmp_path / "half.npz").calibration, model.calibration)


def test_other_models_of_openfaces_format_are_unknown(tmp_path: Path) -> None:
    model = convert_openface(write_model(tmp_path))
    assert model.calibration is None
    other = replace(model, pdm=replace(model.pdm, mean=model.pdm.mean + 1e-3))
    assert experts_digest(model) != experts_digest(other)


def test_the_model_that_ships_knows_its_calibration_and_its_photos(model: Model) -> None:
    assert model.calibration is not None
    likelihood, spread, widest, shape, size = np.asarray(model.calibration.slopes).T
    assert (likelihood > 0).all() and (widest < 0).all() and (shape < 0).all()
    assert len(model.learned) == 1506 and all(len(digest) == 8 for digest in model.learned)


def test_a_curve_is_found_again_and_few_faces_make_no_step() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(-1, 1, (20_000, len(SIGNS)))
    good = rng.random(20_000) < 1 / (1 + np.exp(-3 * (x[:, 0] + 1.5) + x[:, 3]))
    curve = logistic_curve(x, good)
    np.testing.assert_allclose(curve.slopes, [3, 0, 0, -1, 0], atol=0.15)  # three standard errors
    assert abs(curve.bias - 4.5) < 0.2
    few = np.zeros((9, len(SIGNS)))
    few[:, 0] = np.linspace(-1, 1, 9)
    all_good = logistic_curve(few, np.ones(9, bool))
    assert 0.5 < all_good.slopes[0] < 20 and all_good.bias / all_good.slopes[0] > 0.5
    parted = logistic_curve(few[[0, 1, 7, 8]], np.array([False, False, True, True]))
    assert abs(parted.bias) < 0.1 and 0.5 < parted.slopes[0] < 10 and not parted.slopes[1:].any()


def test_landmarks_of_a_calibrated_model_are_those_of_the_model(model: Model) -> None:
    """The calibration is no part of a fit."""
    image = np.random.default_rng(0).uniform(0, 255, (120, 120)).astype(np.float32)
    box = np.array([20, 20, 80, 80], np.float32)
    config = FitConfig().changed(windows=(7,), scales=(0,), keep=())
    with_it, without = (jaxclnf.fit(m, image, box, config) for m in (model, replace(model, calibration=None)))
    np.testing.assert_array_equal(with_it.landmarks, without.landmarks)
