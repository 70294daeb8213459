"""What no fit can be made of is refused in one sentence, before anything is compiled."""

from __future__ import annotations

from dataclasses import replace
from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from engine import synthetic_config, synthetic_model
from jax.sharding import AxisType, PartitionSpec

from jaxclnf import (
    Camera,
    FitConfig,
    TrackConfig,
    certain_radius,
    confidences,
    draw,
    fit,
    fit_batch,
    fit_faces,
    fit_from,
    fit_on_cores,
    fit_settings,
    fit_sharded,
    fit_stream,
    gaze,
    head_pose,
    landmarks,
    load_model,
    save_model,
    track_frame,
    validate,
    wants_detections,
    with_sigma,
)
from jaxclnf.batch.box_rows import box_rows
from jaxclnf.batch.many_faces import check_sequences
from jaxclnf.cache import Kept
from jaxclnf.config import setting
from jaxclnf.fitting.arguments import (
    check_batch,
    check_images,
    check_kinds,
    check_one_start_an_image,
    check_params,
)
from jaxclnf.fitting.grey_range import check_brightness, is_bright
from jaxclnf.fitting.suited_settings import check_config, unread_settings, windows_on_networks
from jaxclnf.media.detection.detector_protocol import Detections
from jaxclnf.models.preset_settings import preset_settings
from jaxclnf.types import ConvExperts, FaceParams, Part

IMAGE, BOX = np.zeros((40, 50), np.float32), np.array([10, 10, 20, 20], np.float32)
PARAMS = FaceParams(np.float32(1), np.zeros(3, np.float32), np.zeros(2, np.float32), np.zeros(2, np.float32))


FACE = replace(PARAMS, shape=np.zeros(4, np.float32))
MODEL, TRACKING = synthetic_model(np.float32), TrackConfig(FitConfig())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image": IMAGE.astype(complex)}, "grey images of real numbers; got them of complex"),
        ({"image": IMAGE.astype(object)}, r"fit: image holds an array of \|O, expected arrays of real"),
        ({"image": IMAGE.astype(">f4")}, "fit: image holds an array of >f4"),
        ({"image": IMAGE.astype(str)}, "fit: image holds an array of <U"),
        ({"image": "photo.jpg"}, "fit: image holds a str"),
        ({"image": np.zeros((50, 50)).tolist()}, "fit: image holds lists of lists"),
        ({"box": ["x", 1, 2, 3]}, "fit: box holds a str"),
        ({"box": [None, 1, 2, 3]}, "expected arrays of numbers for boxes; got a list with None"),
        ({"box": None}, "expected arrays of numbers for boxes; got NoneType"),
        ({"box": {"x": 1}}, "expected arrays of numbers for boxes; got dict"),
        ({"box": Detections(*np.zeros((3, 1)))}, "for boxes; got Detections, whose boxes are one"),
        ({"box": pl.Series(BOX)}, "fit: box holds a Series, expected arrays of real numbers"),
        ({"model": "model.npz"}, r"the model is of type str; jaxclnf.load_model\(\) gives one"),
        ({"config": "best"}, "the config is of type str; .* jaxclnf.preset_settings gives those of a preset"),
    ],
)
def test_arguments_of_other_kinds(change: dict, sentence: str) -> None:
    given = {"model": synthetic_model(np.float32), "image": IMAGE, "box": BOX, "config": synthetic_config()}
    with pytest.raises(ValueError, match=sentence):
        fit(**{**given, **change})


def test_mistakes_are_the_same_with_programs_kept(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("JAXCLNF_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="fit: image holds an array of >f4"):
        fit(synthetic_model(np.float32), IMAGE.astype(">f4"), BOX, synthetic_config())


def test_what_the_tests_own_checks_of_annotations_would_refuse() -> None:
    with pytest.raises(ValueError, match=r"grey images .* that have pixels; got an array of shape \(50,\)"):
        check_images(IMAGE[0], 2)
    with pytest.raises(ValueError, match=r"the model is of type NoneType; jaxclnf.load_model\(\) gives one"):
        check_kinds(None, None)
    with pytest.raises(ValueError, match=r"the config is of type dict; jaxclnf.FitConfig\(\) makes one"):
        check_kinds(synthetic_model(np.float32), {})
    with pytest.raises(ValueError, match=r"expected FaceParams, .*; got NoneType"):
        check_params(synthetic_model(np.float32), None)
    for images in (IMAGE, np.stack([IMAGE] * 3)):
        with pytest.raises(ValueError, match=r"expected images \(n, .*; got images .* params.scale \(\)"):
            check_one_start_an_image(images, PARAMS)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: unwrap(save_model)(None, "a.npz"), "the model is of type NoneType"),
        (lambda: unwrap(confidences)("model.npz", None), "the model is of type str"),
        (lambda: unwrap(confidences)(MODEL, PARAMS), "the result is of type FaceParams; jaxclnf.fit and its"),
        (lambda: unwrap(preset_settings)("best", MODEL), "the model is of type str"),
        (
            lambda: unwrap(preset_settings)(MODEL, "openface", parts="inner"),
            "parts = 'inner', expected a list",
        ),
        (lambda: unwrap(preset_settings)(MODEL, "openface", parts=["nose"]), "no settings for a part 'nose'"),
        (lambda: unwrap(validate)(MODEL, IMAGE, [], []), "the validator is of type Model"),
        (lambda: unwrap(gaze)(MODEL, PARAMS, None), "the result is of type FaceParams"),
        (lambda: unwrap(draw)(IMAGE, PARAMS), "the result is of type FaceParams"),
        (
            lambda: unwrap(with_sigma)(()),
            "a model or the experts of one scale, as model.experts.0.; got tuple",
        ),
        (
            lambda: unwrap(certain_radius)(np.eye(3)),
            r"a covariance \(..., 2, 2\), as FitResult.covariance; got \(3, 3",
        ),
        (
            lambda: unwrap(wants_detections)(TRACKING, []),
            r"the state is of type list; jaxclnf.TrackerState\(\)",
        ),
        (
            lambda: unwrap(track_frame)(MODEL, None, (), IMAGE, []),
            "the config is of type NoneType; jaxclnf.Tra",
        ),
        (
            lambda: TrackConfig(FitConfig(), succeeds=3.0),
            "succeeds = 3.0, expected a number from 0 to 1",
        ),
        (lambda: list(unwrap(fit_stream)(MODEL, [IMAGE])), "pairs of a grey image and a box; got ndarray"),
        (lambda: FitConfig(parts={"inner": 3}), "expected settings of parts by their names"),
        (lambda: FitConfig(stages=3), "stages = 3, expected one Stage or more"),
        (lambda: FitConfig().changed(3), "changes = 3, expected values by the names of settings"),
        (
            lambda: box_rows(Detections(*np.zeros((3, 1)))),
            "boxes as an array; got Detections: give its boxes",
        ),
        (lambda: box_rows([[1, 2], [3]]), "boxes as rows of one length, x, y, width, height; got"),
        (
            lambda: unwrap(head_pose)(MODEL, FACE, Camera(*np.ones((4, 3)))),
            r"one for each face; got fx \(3,\), .* and faces of \(\)",
        ),
        (
            lambda: unwrap(head_pose)(MODEL, FACE, Camera(500.0, np.ones(3), 0, 0)),
            r"got fx \(\), fy \(3,\), .* and faces of \(\)",
        ),
        (
            lambda: unwrap(head_pose)(MODEL, FACE, Camera(500, 500, "320", 240)),
            "camera.cx holds a str, expected an array of real numbers",
        ),
        (
            lambda: unwrap(landmarks)(MODEL, replace(FACE, rotation=[0.0, 0.0, 0.0])),
            "params.rotation holds a list, expected an array of real numbers",
        ),
        (lambda: unwrap(fit_on_cores)(MODEL, [], [], None, -1), "n_parts = -1, expected a whole number"),
        (lambda: fit_faces(MODEL, [IMAGE > 0], [BOX]), "real numbers; got them of bool"),
        (lambda: Camera.default(0, 480), "the width and height of images in pixels; got 0"),
        (lambda: Camera.default(640, jnp.array([480])), r"height of images in pixels; got Array\(\[480\]"),
        (lambda: Camera.default(np.array(np.nan), 480), r"height of images in pixels; got array\(nan\)"),
        (lambda: jax.jit(Camera.default)(640, 480), "height of images in pixels; got "),
    ],
)
def test_what_is_no_fit_refuses_other_kinds_too(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.parametrize("function", [fit_faces, fit_sharded, fit_on_cores])
def test_settings_are_no_word_for_any_fit(function) -> None:
    unchecked = unwrap(function)  # by the tests' own checks of annotations
    with pytest.raises(ValueError, match="the config is of type str"):
        unchecked(synthetic_model(np.float32), [IMAGE], [BOX], "best")


def test_parameters_have_the_shapes_of_a_face() -> None:
    model = synthetic_model(np.float32)
    n = model.pdm.n_modes
    for change, sentence in (
        ({"rotation": np.eye(3)}, r"expected params.rotation, \(3,\); got \(3, 3\)"),
        ({"shape": np.zeros((2, n))}, rf"params.shape of the model's {n} modes, \({n},\); got \(2, {n}\)"),
    ):
        face = replace(PARAMS, **{"shape": np.zeros(n), **change})
        with pytest.raises(ValueError, match=sentence):
            check_params(model.pdm, face)


def test_within_shard_map_it_is_said_what_to_give_it() -> None:
    mesh = jax.make_mesh((1,), ("faces",), axis_types=(AxisType.Auto,))
    model, config = synthetic_model(np.float32), synthetic_config()
    split = PartitionSpec("faces")
    mapped = jax.shard_map(
        lambda *of: fit_batch(model, *of, config), mesh=mesh, in_specs=(split, split), out_specs=split
    )
    with pytest.raises(ValueError, match="fit_batch within jax.shard_map: give that check_vma=False"):
        jax.eval_shape(mapped, IMAGE[None], BOX[None])


def test_images_and_boxes_may_be_lists_of_arrays() -> None:
    model, config = synthetic_model(np.float32), synthetic_config()
    expected = jax.eval_shape(fit_batch, model, IMAGE[None], BOX[None], config)
    assert jax.eval_shape(fit_batch, model, [IMAGE], [BOX], config) == expected
    with pytest.raises(ValueError, match=r"of one shape; got \(40, 50\), \(9, 50\); fit_faces takes"):
        fit_batch(model, [IMAGE, IMAGE[:9]], [BOX, BOX], config)
    with pytest.raises(ValueError, match="expected sequences of images and boxes; fit_stream takes pairs"):
        check_sequences((image for image in [IMAGE]), [BOX])


def test_fits_under_many_settings_take_those_of_the_model() -> None:
    changes = {"tolerance": np.array([0.1, 0.2], np.float32)}
    model = replace(synthetic_model(np.float32), settings=synthetic_config())
    found = jax.eval_shape(fit_settings, model, IMAGE[None], BOX[None], None, changes)
    assert found.iterations.shape == (2, 1, 2, 2)
    of_lists = jax.eval_shape(fit_settings, model, [IMAGE], [BOX], None, {"tolerance": [0.1, 0.2]})
    assert of_lists == found
    assert isinstance(fit_settings, Kept)  # so its programs outlive the process


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sigma": [-1, 1.5]}, "sigma = -1.0, expected a finite number above 0"),
        ({"sigma": np.array([1.5, 0])}, "sigma = 0.0, expected a finite number above 0"),
        ({"sigma": np.array([[1.5, 1], [2, np.nan]])}, "sigma = nan, expected a finite number above 0"),
        ({"sigma": 1.5}, "sigma = 1.5, expected an array or list with a row for each setting"),
        ({"sigma": [[1.5, 1], [1]]}, "expected an array or list with a row for each setting"),
        ({"sigma": [1, 2], "tolerance": [1, 2, 3]}, "equally many values .*; got 2 of sigma, 3 of tolerance"),
        ({"sigma": []}, "at least one; got 0 of sigma"),
        ({}, "expected arrays by the names of their settings"),
        ({"windows": [9, 11]}, "windows is compiled anew for each value: call fit_settings once for each"),
        ({"sgima": [1, 2]}, "'sgima' is not a setting"),
        ({"parts.nose.sigma": [1, 2]}, "'parts.nose': no such part is fitted"),
    ],
)
def test_changes_that_no_fit_can_have(changes: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        fit_settings(synthetic_model(np.float32), IMAGE[None], BOX[None], synthetic_config(), changes)


def test_changes_that_are_traced_pass() -> None:
    def fitted(sigma):
        changes = {"sigma": [sigma, 2 * sigma]}
        return fit_settings(synthetic_model(np.float32), IMAGE, BOX[None], synthetic_config(), changes)

    assert jax.eval_shape(fitted, np.float32(1)).landmarks.shape == (2, 1, 12, 2)


def test_grey_from_0_to_1_is_refused_and_dark_grey_is_not() -> None:
    bright = np.full((40, 50), 0.7, np.float32)
    calls = (
        lambda: fit(synthetic_model(np.float32), bright, BOX, synthetic_config()),
        lambda: fit(model=synthetic_model(np.float32), image=bright, box=BOX),
        lambda: fit_batch(synthetic_model(np.float32), np.stack([IMAGE, bright]), np.stack([BOX, BOX])),
        lambda: fit_faces(synthetic_model(np.float32), [bright], [BOX], synthetic_config()),
        lambda: fit_sharded(synthetic_model(np.float32), [bright], [BOX]),
        lambda: fit_on_cores(synthetic_model(np.float32), [bright], [BOX]),
        lambda: fit_settings(synthetic_model(np.float32), bright, [BOX], None, {"tolerance": [0.1]}),
    )
    for call in calls:
        with pytest.raises(
            ValueError, match=r"grey from 0 to 255; got float32 up to 0.7: multiply it by 255"
        ):
            call()
    light = bright.copy()
    light[3, 5] = 2
    for image in (IMAGE, light, 255 * bright, bright > 0.5, (2 * bright).astype(np.uint8), bright * np.nan):
        check_brightness(image)
    for image in (jnp.asarray(bright), [jnp.asarray(bright, jnp.bfloat16)], np.asarray(bright, jnp.bfloat16)):
        with pytest.raises(ValueError, match=r"up to 0.(7|6992): multiply it by 255"):
            check_brightness(image)


def test_dark_images_among_bright_ones_and_of_whole_numbers_are_no_mistake() -> None:
    dark, bright = np.full((40, 50), 0.7, np.float32), np.full((40, 50), 0.7, np.float32)
    bright[3, 5] = 200  # which a sample does not see
    noise = np.random.default_rng(0).integers(0, 2, (40, 50)).astype(np.float32)
    for images in ([dark, bright], np.stack([dark, bright]), [dark, 255 * np.ones((9, 9), np.uint8)]):
        check_brightness(images)
    for images in (noise, np.stack([noise, IMAGE]), jnp.asarray(noise, jnp.bfloat16)):
        check_brightness(images)
    check_brightness(dark, known=True)
    assert is_bright(bright) and not any(map(is_bright, (dark, noise, IMAGE * np.nan, "a.jpg")))
    for images in ([dark, noise], np.stack([noise, dark]), [dark, jnp.asarray(dark)]):
        with pytest.raises(ValueError, match=r"got float32 up to (0.7|1): multiply it by 255"):
            check_brightness(images)


def test_images_of_rgb_and_boxes_that_are_complex_are_said_to_be_so() -> None:
    rgb = np.zeros((40, 50, 3), np.uint8)
    hint = "; jaxclnf.to_grey makes grey images of RGB$"
    for call, sentence in (
        (lambda: check_batch(rgb, BOX[None]), r"got 40 images and 1 boxes"),
        (lambda: check_batch(rgb[None], BOX[None]), r"got images \(1, 40, 50, 3\) and boxes \(1, 4\)"),
        (lambda: check_images(rgb, 2), r"of shape \(40, 50, 3\)"),
        (lambda: fit_faces(MODEL, [rgb], [BOX]), r"of shape \(40, 50, 3\) and a box of shape \(4,\)"),
        (lambda: unwrap(fit_sharded)(MODEL, rgb, BOX[None]), r"images \(40, 50, 3\) and boxes \(1, 4\)"),
        (lambda: unwrap(fit_on_cores)(MODEL, rgb[None], BOX[None]), r"got images \(1, 40, 50, 3\)"),
    ):
        with pytest.raises(ValueError, match=sentence + ".*" + hint):
            call()
    with pytest.raises(ValueError, match=r"and 2 boxes$"):
        check_batch(np.zeros((3, 40, 50), np.uint8), np.stack([BOX, BOX]))
    for kind in (complex, bool, np.complex64):
        with pytest.raises(ValueError, match="expected boxes of real numbers; got them of (complex|bool)"):
            check_batch(IMAGE, BOX[None].astype(kind))


def test_grey_of_16_bits_is_refused_and_a_little_beyond_255_is_not() -> None:
    for image in (np.full((2, 40, 50), 65535, np.uint16), jnp.full((40, 50), 4000, jnp.int32)):
        with pytest.raises(ValueError, match=r"got u?int.. up to (65535|4000): scale it to 255"):
            check_brightness(image)
    for most in (300, np.inf):
        check_brightness(np.full((40, 50), most, np.float32))


def test_truth_values_are_no_grey() -> None:
    with pytest.raises(ValueError, match="expected grey images of real numbers; got them of bool"):
        check_images(IMAGE > 0, 2)


def test_parameters_of_another_model() -> None:
    with pytest.raises(ValueError, match=r"expected params.shape of the model's 4 modes, \(4,\); got \(2,\)"):
        fit_from(synthetic_model(np.float32), IMAGE, PARAMS, synthetic_config())


def test_patch_experts_need_windows_and_networks_do_not() -> None:
    model = load_model()
    for config in (model.settings, FitConfig().changed(windows=(9,))):  # this on the patch experts alone
        check_config(model, config)
        assert not windows_on_networks(model, config)
    for config in (FitConfig(), FitConfig.best(), FitConfig.openface()):
        check_config(model, config)
        assert windows_on_networks(model, config)
        assert not windows_on_networks(synthetic_model(np.float32), config)
    # a network's stage, then one of patch experts
    names = ["sigma", "sigma.0", "sigma.1", "anchor.0", "anchor.1", "looks.0", "looks.1", "tolerance"]
    assert unread_settings(model, model.settings, names) == ["sigma.0", "anchor.0", "looks.1"]
    assert unread_settings(model, FitConfig().changed(windows=(9,)), ["sigma", "anchor"]) == ["anchor"]
    with pytest.raises(ValueError, match="stage 0 has no window, but scale 0 of the model has patch experts"):
        check_config(model, model.settings.changed(scales=(0, 0)))
    with pytest.raises(ValueError, match=r"scales = \[99, 99\], expected one of the model's .*, 0 to \d"):
        check_config(model, model.settings.changed(scales=(99, 99)))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"landmark_weights": np.ones(68)}, "expected one value of landmark_weights, or 12 .*; got 68"),
        ({"mode_stiffness": np.ones(3)}, "expected one value of mode_stiffness, or 4 for .*; got 3"),
        ({"scales": 7}, r"scales = \[7\], expected one of the model's among them, 0 to 0"),
    ],
)
def test_settings_of_a_part_are_those_of_its_model(changes, sentence) -> None:
    part = Part("inner", (1, 2), (1, 2), replace(MODEL, experts=MODEL.experts[1:]))
    model = replace(MODEL, parts=(part,))
    config = synthetic_config().changed(parts={"inner": synthetic_config(windows=(7, 0))})
    check_config(model, config)
    wrong = config.changed({f"parts.inner.{name}": value for name, value in changes.items()})
    with pytest.raises(ValueError, match=f"the settings of part inner: {sentence}"):
        fit(model, IMAGE, BOX, wrong)


def test_networks_look_at_mirrored_pictures_where_it_is_known_what_these_show() -> None:
    model = load_model()
    best = preset_settings(model, "best")
    unknown = [replace(e, mirror=()) if isinstance(e, ConvExperts) else e for e in model.experts]
    blind = replace(model, experts=tuple(unknown))
    own = preset_settings(blind, "best")
    assert any(setting(best, "mirrored")) and not any(setting(own, "mirrored"))
    assert own == best.changed(mirrored=False)
    check_config(blind, own)
    with pytest.raises(ValueError, match="stage 1 looks at mirrored pictures, .* expected mirrored = False"):
        fit(blind, IMAGE, BOX, best)


def test_what_is_no_fault_of_an_argument_stays_what_it_is() -> None:
    with pytest.raises(TypeError, match="missing a required argument|missing 1 required"):
        fit_batch(synthetic_model(np.float32), IMAGE)
    assert jax.eval_shape(fit, synthetic_model(np.float32), IMAGE, BOX, synthetic_config())


@pytest.mark.parametrize("dtype", [np.int32, np.float16, "nonsense", complex])
def test_a_model_has_one_of_two_precisions(dtype: object) -> None:
    with pytest.raises(ValueError, match=r"a model of .*, expected numpy.float32 or numpy.float64"):
        load_model(dtype=dtype)


def test_a_preset_that_is_none_and_values_without_end_are_said_shortly() -> None:
    with pytest.raises(ValueError, match="there is no preset 'x'; presets are default"):
        preset_settings(synthetic_model(np.float32), "x")
    with pytest.raises(ValueError, match="expected one value, or 4, for 4 stages") as error:
        FitConfig().changed(sigma=[1.0] * 10_000)
    assert len(str(error.value)) < 300
