"""OpenFace 2's validator on its own file, against what its C++ program computes for 68 fits good and bad."""

from __future__ import annotations

from dataclasses import replace
from inspect import unwrap
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import box_of, synthetic_config, synthetic_face, synthetic_model
from openface_files import write_validator
from shared_data import SHARED, golden, shared

import jaxclnf
from jaxclnf.fitting.map_frames import nearest_view
from jaxclnf.fitting.validate import BOUNDARY, certainties, face_of, network, normalised_face, validate
from jaxclnf.models.confidence import how_sure
from jaxclnf.models.openface.validator_files import load_validator
from jaxclnf.ops.convolution import column_major, correlate, max_pool
from jaxclnf.ops.warp import region, warp
from jaxclnf.tracking.following import Expected
from jaxclnf.tracking.tracks import TrackConfig, fits
from jaxclnf.types import Validator

FILE = ("openface", "model", "detection_validation", "validator_cnn_68.txt")


@pytest.fixture(scope="module")
def validator() -> Validator:
    return load_validator(shared(*FILE))


@pytest.fixture(scope="module")
def cases() -> dict[str, np.ndarray]:
    return golden("validator_golden")


def picture(path: str) -> np.ndarray:
    samples = golden("images_gray")
    if (name := Path(path).stem) in samples:
        return samples[name]
    image = cv2.imread(str(SHARED / path.removeprefix("shared/")))
    assert image is not None
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def case(cases: dict[str, np.ndarray], i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    landmarks = cases["landmarks"][i].reshape(2, 68).T.astype(np.float32)
    image = picture(str(cases["image"][i]))
    return image, landmarks, cases["angles"][i].astype(np.float32)


def view_of(validator: Validator, i: int) -> Validator:
    return jax.tree.map(lambda a: a[i], validator)


def warped(seen: Validator, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    shape = seen.triangles, seen.alpha, seen.beta, seen.triangle_of, seen.origin
    return np.asarray(jax.jit(warp)(*face_of(image, landmarks), *shape))


def test_views_and_masks_are_those_of_the_file(validator: Validator, cases) -> None:
    for i in range(7):
        np.testing.assert_array_equal(validator.triangle_of[i] >= 0, cases[f"views/{i}/mask"] != 0)
        np.testing.assert_allclose(validator.view_centres[i], cases[f"views/{i}/orientation_rad"], atol=1e-7)
        np.testing.assert_array_equal(
            validator.origin[i], cases[f"views/{i}/number_of_pixels_min_x_min_y"][1:]
        )


def test_regions_and_views(validator: Validator, cases) -> None:
    for i in range(68):
        image, landmarks, rotation = case(cases, i)
        low, high = region(jnp.asarray(landmarks), image.shape)
        np.testing.assert_array_equal([low[0], high[0], low[1], high[1]], cases["roi_x0_x1_y0_y1"][i])
        assert nearest_view(validator.view_centres, jnp.asarray(rotation)) == cases["view"][i]


def test_warps(validator: Validator, cases) -> None:
    """Where a sum rounds the other way a pixel is read 1/32 farther on: no more than one in 2,000."""
    different, total = 0, 0
    for i in np.flatnonzero(cases["kind"] != "outside"):
        image, landmarks, _ = case(cases, i)
        found = warped(view_of(validator, cases["view"][i]), image, landmarks)
        different += np.sum(np.abs(found - cases["warped"][i]) > 1e-3)
        total += found.size
        np.testing.assert_allclose(found, cases["warped"][i], atol=8)
    assert different < total / 2000


def test_normalised_pixels_and_every_layer(validator: Validator, cases) -> None:
    for i in range(3):
        seen = view_of(validator, cases["view"][i])
        own = normalised_face(seen, jnp.asarray(cases["warped"][i]))
        inside = np.asarray(seen.triangle_of).T >= 0
        expected = cases[f"cases/{i:03d}/normalised_vector"]
        np.testing.assert_allclose(np.asarray(own).T[inside], expected, atol=3e-4)
        maps, layers = own[None], (0, 3, 6)
        for layer, kernels, biases in zip(layers, seen.kernels, seen.kernel_biases, strict=True):
            maps = correlate(maps, kernels, biases)
            np.testing.assert_allclose(
                maps, cases[f"cases/{i:03d}/layer{layer:02d}_type0"], atol=2e-4, rtol=1e-5
            )
            maps = max_pool(jax.nn.relu(maps))
            np.testing.assert_allclose(
                maps, cases[f"cases/{i:03d}/layer{layer + 2:02d}_type1"], atol=2e-4, rtol=1e-5
            )
        first = column_major(maps) @ seen.weights[0] + seen.weight_biases[0]
        np.testing.assert_allclose(first, cases[f"cases/{i:03d}/layer09_type2"], atol=2e-4, rtol=1e-5)
        np.testing.assert_allclose(
            network(seen, own), cases[f"cases/{i:03d}/layer11_type2"], atol=1e-4, rtol=1e-5
        )


def test_scores_of_the_same_warps(validator: Validator, cases) -> None:
    scores = jax.jit(lambda seen, picture: network(seen, normalised_face(seen, picture)))
    for i in np.flatnonzero(cases["kind"] != "outside"):
        found = scores(view_of(validator, cases["view"][i]), cases["warped"][i])
        np.testing.assert_allclose(found, cases["scores"][i], atol=3e-4)


def test_scores_and_certainties(validator: Validator, cases) -> None:
    """Pixels read 1/32 farther on move a score by up to 0.03 of some 40; no certainty changes."""
    for i in range(68):
        image, landmarks, rotation = case(cases, i)
        found = validate(validator, *face_of(image, landmarks), rotation)
        np.testing.assert_allclose(found.certainty, cases["certainty"][i], atol=1e-6)
        if cases["kind"][i] != "outside":
            np.testing.assert_allclose(found.scores, cases["scores"][i], atol=0.05)


def test_a_face_cut_out_is_judged_as_in_its_image(validator: Validator, cases) -> None:
    """Also one that reaches over the edge; whether landmarks lie in the image is asked of the image."""
    over_edge = int(np.flatnonzero(cases["kind"] == "over_left_edge")[0])
    for i in (0, over_edge):
        image, landmarks, rotation = case(cases, i)
        whole = validate(validator, image, landmarks, rotation)
        cut_out = validate(validator, *face_of(image, landmarks), rotation)
        np.testing.assert_allclose(whole.scores, cut_out.scores, atol=0.05)


@pytest.mark.parametrize("keep", [0, 3, 4, 20, 300, 20_000, 332_000, 2_328_607])
def test_a_file_that_breaks_off_is_refused_in_a_sentence(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "validator.txt"
    path.write_bytes(shared(*FILE).read_bytes()[:keep])
    with pytest.raises(ValueError, match="validator.txt"):
        load_validator(path)


def test_the_validator_of_2016() -> None:
    """Its own program said -1 good to 1 bad; views 0 and 3 occur, the latter padded."""
    validator = load_validator(shared(*FILE[:-1], "validator_general_68.txt"))
    arrays, views = golden("final_fits_golden"), set()
    for mode in ("image_single_main_only", "image_single_wildparams_main_only", "image_multi_inner_eyes"):
        of = {name: arrays[f"{mode}/{name}"] for name in ("landmarks", "params_global", "validator_on_final")}
        for i, name in enumerate(("sample1", "sample2", "sample3", "sample4")):
            image, landmarks = golden("images_gray")[name], of["landmarks"][i].reshape(2, 68).T
            face = face_of(image, landmarks.astype(np.float32))
            found = validate(validator, *face, of["params_global"][i, 1:4].astype(np.float32))
            np.testing.assert_allclose(1 - 2 * found.certainty, of["validator_on_final"][i], atol=1e-3)
            views.add(int(found.view))
    assert views == {0, 3}


def test_a_validator_says_how_sure_fits_are(tmp_path: Path) -> None:
    """One without usable landmarks has 0, and a face that is followed is one above the boundary."""
    model, config = synthetic_model(np.float32), synthetic_config()
    image, params = synthetic_face(0, np.float32)
    box = box_of(model, params).astype(np.float32)
    result = jax.device_get(jaxclnf.fit_batch(model, image, np.stack([box, -box]), config))
    decided = set()
    for seed in range(16):
        judge = load_validator(write_validator(tmp_path / "validator.txt", seed, corners=(0, 3, 9)))
        judge = replace(judge, n_points=model.pdm.n_points)
        sure = how_sure(model, result, config, judge, [image, image])
        found = validate(judge, *face_of(image, result.landmarks[0]), result.params.rotation[0])
        np.testing.assert_allclose(sure, [found.certainty, 0])
        tracker = TrackConfig(config).validated(judge)
        seen = fits(model, tracker, image, [Expected(params, box, 1.0)])[0]
        assert seen.success == (seen.confidence > BOUNDARY + 0.01)
        decided.add(seen.success)
    assert decided == {True, False}


IMAGE = np.random.default_rng(0).integers(0, 255, (120, 140)).astype(np.float32)
POINTS = np.random.default_rng(1).uniform(10, 110, (68, 2)).astype(np.float32)
FRONTAL = np.zeros(3, np.float32)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32])
def test_a_face_of_another_precision_is_judged_in_that_of_the_validator(kind, tmp_path, dtype) -> None:
    """Whatever the image's; `certainties`, by which tables are made, gives the same."""
    judge = load_validator(write_validator(tmp_path / "validator.txt"), dtype)
    whole = POINTS.round()
    expected = validate(judge, IMAGE, whole.astype(dtype), FRONTAL.astype(dtype))
    assert expected.scores.dtype == dtype
    for image in (IMAGE, IMAGE.astype(np.uint8), IMAGE.astype(np.float64)):
        found = validate(judge, image, whole.astype(kind), FRONTAL.astype(kind))
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
    np.testing.assert_allclose(
        certainties(judge, [IMAGE], whole[None], FRONTAL[None]), [expected.certainty], rtol=1e-6
    )
    lists = validate(judge, IMAGE, whole.tolist(), [0, 0, 0])
    np.testing.assert_array_equal(lists.scores, expected.scores)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"landmarks": POINTS[:51]}, "expected the 68 landmarks that the validator judges; got 51"),
        ({"landmarks": np.tile(POINTS, (2, 1))}, "expected the 68 landmarks .*; got 136"),
        ({"landmarks": POINTS.tolist()[:51]}, "expected the 68 landmarks .*; got 51"),
        ({"landmarks": POINTS[None]}, r"got \(1, 68, 2\) and \(3,\): jax.vmap takes many"),
        ({"landmarks": [[1, 2], [3]]}, r"expected landmarks as an array of real numbers; got \[\[1, 2\]"),
        ({"landmarks": None}, "expected landmarks as an array of real numbers; got None"),
        ({"landmarks": POINTS + 1j}, "expected landmarks as an array of real numbers"),
        ({"rotation": ["a", "b", "c"]}, "expected a rotation as an array of real numbers; got"),
        ({"rotation": [0, 0]}, r"got \(68, 2\) and \(2,\)"),
    ],
)
def test_other_faces_than_those_that_are_judged(change: dict, sentence: str, tmp_path: Path) -> None:
    judge = load_validator(write_validator(tmp_path / "validator.txt"))
    with pytest.raises(ValueError, match=sentence):
        unwrap(validate)(judge, IMAGE, **{"landmarks": POINTS, "rotation": FRONTAL, **change})


def test_faces_are_judged_within_functions_of_jax(tmp_path: Path) -> None:
    judge = load_validator(write_validator(tmp_path / "validator.txt"))
    many = jax.jit(jax.vmap(validate, (None, None, 0, 0)))(
        judge, IMAGE, np.stack([POINTS] * 2), np.zeros((2, 3))
    )
    np.testing.assert_allclose(many.scores[1], validate(judge, IMAGE, POINTS, FRONTAL).scores, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.float16, "nonsense", complex])
def test_a_validator_has_one_of_two_precisions(dtype: object, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"a validator of .*, expected numpy.float32|float64 validators need"
    ):
        unwrap(load_validator)(write_validator(tmp_path / "validator.txt"), dtype)
