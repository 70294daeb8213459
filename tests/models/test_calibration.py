"""What a log-likelihood promises: right numbers that stay with the model; unknown where it has none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from openface_files import write_model
from shared_data import shared

import jaxclnf
from jaxclnf import FitConfig, FitResult, Model
from jaxclnf.models import known
from jaxclnf.models.calibration import comparable, confidences
from jaxclnf.models.known import experts_digest
from jaxclnf.models.npz import checksum
from jaxclnf.models.openface import convert_openface
from jaxclnf.models.storage import load_model, save_model
from jaxclnf.training.calibrate import logistic_curve
from jaxclnf.types import Calibration, Status


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


def results(model: Model, likelihoods: list[float], status: list[Status]) -> FitResult:
    """Fits that say nothing but their likelihoods and status."""
    empty = jax.tree.map(lambda a: jnp.zeros((len(status), *a.shape)), model.pdm)
    return FitResult(empty, empty, np.array(likelihoods), empty, empty, empty, empty, np.array(status))  # type: ignore


def test_confidences_are_a_logistic_curve(model: Model) -> None:
    """Half at the centre, 1 / (1 + 1 / e) a slope's inverse beyond it, 0 where nothing was fitted."""
    model, config = replace(model, calibration=Calibration(np.float32(-2), np.float32(4))), FitConfig()
    fits = results(model, [0.0, 0.0], [Status.OK, Status.BOX_INVALID])
    shift = -float(comparable(model, fits, config)[0])
    fits = results(
        model,
        [shift - 2, shift - 1.75, -np.inf, shift],
        [Status.OK, Status.NOT_CONVERGED, Status.OK, Status.NOT_FINITE],
    )
    np.testing.assert_allclose(
        confidences(model, fits, config), [0.5, 1 / (1 + np.exp(-1)), 0, 0], atol=1e-12
    )


def test_confidences_of_a_model_without_calibration_are_unknown(model: Model) -> None:
    fits = results(model, [0.0, 0.0], [Status.OK, Status.BOX_INVALID])
    sure = confidences(replace(model, calibration=None), fits, FitConfig())
    assert np.isnan(sure[0]) and sure[1] == 0


def test_a_calibration_stays_with_a_model_of_another_name(model: Model, tmp_path: Path) -> None:
    mine = replace(model, provenance=replace(model.provenance, name="mine"))
    mine = replace(mine, calibration=Calibration(np.float32(-1.5), np.float32(2.5)))
    save_model(mine, tmp_path / "mine.npz", np.float16)
    assert load_model(tmp_path / "mine.npz").calibration == mine.calibration
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
    monkeypatch.setitem(known._CALIBRATIONS, experts_digest(model), (-1.5, 2.5))
    mine = replace(model, provenance=replace(model.provenance, name="mine"))
    save_model(mine, tmp_path / "old.npz", np.float16)
    without_calibration(tmp_path / "old.npz")
    assert load_model(tmp_path / "old.npz").calibration == Calibration(jnp.float32(-1.5), jnp.float32(2.5))


def test_openfaces_models_are_known_by_what_they_are(tmp_path: Path) -> None:
    whole = shared("openface", "model", "main_clnf_general.txt")
    for path in whole.parent.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "any name.txt").write_text(whole.read_text())
    model = convert_openface(tmp_path / "any name.txt")
    assert model.calibration == convert_openface(whole).calibration is not None
    save_model(model, tmp_path / "half.npz", np.float16)
    without_calibration(tmp_path / "half.npz")
    assert load_model(tmp_path / "half.npz").calibration == model.calibration


def test_other_models_of_openfaces_format_are_unknown(tmp_path: Path) -> None:
    model = convert_openface(write_model(tmp_path))
    assert model.calibration is None
    other = replace(model, pdm=replace(model.pdm, mean=model.pdm.mean + 1e-3))
    assert experts_digest(model) != experts_digest(other)


def test_the_model_that_ships_knows_its_calibration_and_its_photos(model: Model) -> None:
    assert model.calibration is not None
    np.testing.assert_allclose(model.calibration.centre, -7.02, atol=0.01)
    np.testing.assert_allclose(model.calibration.slope, 2.866, atol=0.01)
    assert len(model.learned) == 1506 and all(len(digest) == 8 for digest in model.learned)


def test_a_curve_is_found_again_and_few_faces_make_no_step() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(-1, 1, 20_000)
    good = rng.random(20_000) < 1 / (1 + np.exp(-3 * (x + 1.5)))
    curve = logistic_curve(x, good)
    assert abs(curve.centre + 1.5) < 0.05 and abs(curve.slope - 3) < 0.15  # three standard errors
    all_good = logistic_curve(np.linspace(-1, 1, 9), np.ones(9, bool))
    assert 0.5 < all_good.slope < 20 and all_good.centre < -0.5
    parted = logistic_curve(np.array([-1.0, -0.9, 0.9, 1.0]), np.array([False, False, True, True]))
    assert abs(parted.centre) < 0.01 and 0.5 < parted.slope < 10


def test_landmarks_of_a_calibrated_model_are_those_of_the_model(model: Model) -> None:
    """The calibration is no part of a fit."""
    image = np.random.default_rng(0).uniform(0, 255, (120, 120)).astype(np.float32)
    box = np.array([20, 20, 80, 80], np.float32)
    config = FitConfig().changed(windows=(7,), scales=(0,), keep=())
    with_it, without = (jaxclnf.fit(m, image, box, config) for m in (model, replace(model, calibration=None)))
    np.testing.assert_array_equal(with_it.landmarks, without.landmarks)
