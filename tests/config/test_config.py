"""Settings: equal ones are equal, each is tested once, changed by name, said in JSON and read again."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from described_settings import row

from jaxclnf.config import FitConfig, Stage, from_plain, from_text, is_static, setting
from jaxclnf.config.setting_names import NAMES

EVERY = {
    "default": FitConfig(),
    "best": FitConfig.best(),
    "openface": FitConfig.openface(),
    "openface-wild": FitConfig.openface_wild(),
    "openface2": FitConfig.openface2(),
}


def test_equal_settings_are_equal() -> None:
    assert FitConfig() == EVERY["default"] and FitConfig.best() == EVERY["best"]
    assert FitConfig.openface2() == EVERY["openface2"] != FitConfig.openface2(cen=True)
    assert FitConfig() != FitConfig.best() and FitConfig() != FitConfig().changed(tolerance=0.02)
    assert FitConfig() != FitConfig().changed({"parts.inner.sigma.0": 1.2})
    assert Stage(7, 0, sigma=2) == Stage(7, 0, sigma=np.float32(2)) != Stage(7, 1, sigma=2)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"keep": [0]}, "keep = 0, expected a whole number of at least 1 and at most 1000, or None"),
        ({"keep": [2, 1]}, "keep = 2 of the first stage, expected None or at least the 3 start rotations"),
        ({"kernel": "gird"}, "kernel = 'gird', expected one of exact, grid"),
        ({"sigma": float("nan")}, "sigma = nan, expected a finite number above 0"),
        ({"sigma.1": 0}, "sigma = 0, expected a finite number above 0"),
        ({"sigma": [1, 2, 3]}, "expected one value, or 4, for 4 stages"),
        ({"sigma.4": 1}, "'sigma.4': expected the number of one of 4 stages"),
        ({"reg_factor": -1}, "reg_factor = -1, expected a finite number of at least 0"),
        ({"windows": [7, 0.5]}, "window = 0.5, expected a whole number of at least 1"),
        ({"windows": [0, 0, 0, 0]}, "windows of 0 leave out every stage; expected one or more above 0"),
        ({"windows": [7] * 5}, "expected scales for every one of 5 stages; got 4"),
        ({"windows": [4001]}, "window = 4001, expected a whole number of at least 1 and at most 101"),
        ({"iterations": 2 * 10**9}, "iterations = 2000000000, expected a whole number of .* at most 1000"),
        ({"start_rotations": [[0, 0, 0]] * 2000}, "expected rows of three finite angles, at most 1000"),
        ({"scales": [-1, 0, 1, 2]}, "scale = -1, expected a whole number of at least 0"),
        ({"iterations": True}, "iterations = True, expected a whole number"),
        ({"start_rotations": [0, 1, 2]}, "expected rows of three finite angles"),
        ({"box_correction": [0, 1]}, "expected four finite numbers"),
        ({"landmark_weights": [[1.0]]}, "expected a finite number of at least 0, or one for each"),
        ({"temperature": "warm"}, "temperature = 'warm', expected a finite number"),
        ({"on_pdm": 1}, "on_pdm = 1, expected True or False"),
        ({"parts": "inner"}, "parts = 'inner', expected a list of names"),
        ({"parts": 5}, "parts = 5, expected a list of names"),
        ({"parts": ["inner", 5]}, "expected a list of names"),
        ({"parts": ["nose"]}, "no settings for a part 'nose'; there are for inner"),
        ({"parts": [], "parts.inner.vote": 1}, "'parts.inner': no such part is fitted"),
        ({"parts.inner.sigma": -1}, "sigma = -1"),
        ({"sigmas": 1}, "'sigmas' is not a setting; settings are windows, scales.*docs/settings.md says"),
    ],
)
def test_a_setting_that_is_none_ends_in_a_sentence(changes, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        FitConfig().changed(changes)


@pytest.mark.parametrize("preset", [FitConfig.openface, FitConfig.openface_wild, FitConfig.openface2])
def test_a_word_is_no_list_of_parts(preset) -> None:
    with pytest.raises(ValueError, match="parts = 'inner', expected a list of names"):
        preset(parts="inner")
    assert set(preset(parts=["inner"]).parts) == set(preset(parts=iter(("inner",))).parts) == {"inner"}


def test_settings_are_tested_where_they_are_made_too() -> None:
    with pytest.raises(ValueError, match="expected one of exact, grid"):
        FitConfig(kernel="gird")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="sigma = -1"):
        replace(FitConfig().stages[0], sigma=-1)


@pytest.mark.parametrize("wrong", ["2", True, np.True_, ["1"], None, 1j, jnp.float32(-1), jnp.nan, {}])
def test_words_and_truth_values_are_no_numbers_and_arrays_are_tested(wrong) -> None:
    for name in ("temperature", "tolerance", "landmark_weights"):
        with pytest.raises(ValueError, match=f"{name} = .*, expected a finite number"):
            FitConfig(**{name: wrong})


def test_static_settings_become_pythons_own_values() -> None:
    for nine in (jnp.int32(9), np.array(9), np.int64(9)):
        stage = Stage(window=nine, scale=0)  # pyright: ignore[reportArgumentType]
        assert type(stage.window) is int and hash(jax.tree.structure(stage)) is not None
    assert type(FitConfig(temperature=jnp.float32(0.5)).temperature) is float  # pyright: ignore
    for wrong in (jnp.int32(0), jnp.float32(9), jnp.arange(1, 3), np.array([9])):
        with pytest.raises(ValueError, match="window = .*, expected a whole number"):
            Stage(window=wrong, scale=0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="resolution = .*, expected a value that is not traced"):
        jax.eval_shape(lambda r: FitConfig().changed(resolution=r), 1.0)
    assert FitConfig(tolerance=10**30).tolerance == np.float32(1e30)


def test_jax_rebuilds_settings_with_whatever_it_likes() -> None:
    axes = jax.tree.map(lambda a: None, FitConfig())
    assert axes.tolerance is None and axes.stages[0].window == 11
    many = jax.vmap(lambda s: FitConfig().changed(sigma=s))(jnp.ones((5, 4)))
    assert many.stages[3].sigma.shape == (5,)


@pytest.mark.parametrize("name", EVERY)
def test_settings_said_in_json_are_read_again(name: str) -> None:
    told = json.loads(json.dumps(EVERY[name].described()))
    assert FitConfig.from_description(told) == EVERY[name]


def test_columns_of_older_files_are_read() -> None:
    told = {"windows": [11, 0, 7, 7], "scales": [0, 1, 2, 2], "keep": [2, 2, 1], "iterations": 3}
    told |= {"sigma": [1, 2, 3, 4], "reg_factor": [5, 6, 7, 8], "weight_factor": [1, 1, 1, 0]}
    config = FitConfig.from_description(told)
    assert [(s.window, s.scale, s.keep, s.iterations) for s in config.stages] == [
        (11, 0, None, 3),
        (7, 2, 1, 3),
        (7, 2, None, 3),
    ]
    assert [(float(s.sigma), float(s.reg_factor)) for s in config.stages] == [(1, 5), (3, 7), (4, 8)]


def test_every_setting_can_be_changed_by_its_name_and_text() -> None:
    """A new field is a new name: of --set, of sweeps, of what is said in JSON."""
    assert set(NAMES) == {
        *({f.name for f in fields(FitConfig)} - {"stages"}),
        *({f.name for f in fields(Stage)} - {"window", "scale"} | {"windows", "scales"}),
    }
    texts = {"kernel": "grid", "on_pdm": "true", "merged": "false", "parts": "", "start_rotations": "0,30,0"}
    texts |= {"windows": "9,8", "scales": "3,2,1,0", "between_views": "0,2", "keep": "3,3,1"}
    texts |= {"box_correction": "0,0,0.1,0.1", "merged": "false", "as_openface2": "true"}
    texts |= {"anchor": "0.5", "freedom": "0.5", "mirrored": "true"}
    for name in NAMES:
        text = texts.get(name, "4")
        changed = FitConfig().changed({name: from_text(name, text)})
        assert changed != FitConfig(), name
        same_program = jax.tree.structure(changed) == jax.tree.structure(FitConfig())
        assert same_program != is_static(name) or name == "start_rotations"


def test_names_reach_stages_and_parts() -> None:
    config = FitConfig().changed({"sigma.2": 3, "parts.inner.reg_factor.0": 9, "keep": [3, 1]})
    np.testing.assert_allclose(setting(config, "sigma"), [1.6, 1.4, 3, 1.15])
    assert setting(config, "sigma.2") == 3 and setting(config, "parts.inner.reg_factor") == [9]
    assert setting(config, "keep") == (3, 1, None, None)
    assert setting(FitConfig().changed(between_views=[0, 3]), "between_views") == (True, False, False, True)
    for wrong in ("x", [4], True, -1):
        with pytest.raises(ValueError, match="between_views = .*, expected numbers of the 4 stages"):
            FitConfig().changed(between_views=wrong)


def test_angles_are_degrees_in_text_and_radians_in_python() -> None:
    for value in (from_text("start_rotations", "0,90,0"), from_plain("start_rotations", [[0, 90, 0]])):
        np.testing.assert_allclose(value, [[0, np.pi / 2, 0]], rtol=1e-6)
    with pytest.raises(ValueError, match="three for each start"):
        from_text("start_rotations", "1,2")


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_settings_says_what_is_declared(name) -> None:
    lines = (
        (Path(__file__).resolve().parents[2] / "docs/settings.md").read_text(encoding="utf-8").splitlines()
    )
    assert row(name) in lines, f"docs/settings.md lacks or contradicts: {row(name)}"
