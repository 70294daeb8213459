"""``jaxclnf sweep``: the model that it takes, what it says, saves and refuses."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import jax.numpy as jnp
import numpy as np
import pytest
from command_line import runner
from PIL import Image

from jaxclnf import Model, landmarks, load_model
from jaxclnf.cluster.pool import Done, Lost, Pool
from jaxclnf.fitting.face_params import params_from_box
from jaxclnf.sweeps.results import TriedSetting
from jaxclnf.sweeps.tasks import Timing


def written(path: Path, vary: str = "sigma = [1.0, 2.0]", options: str = "") -> Path:
    """A specification of a sweep over the faces beside it."""
    path.write_text(f'datasets = ["faces"]\n{options}\n[vary]\n{vary}', encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("option", "options", "opened"),
    [
        (["--model", "asked"], 'model = "own"', "asked"),
        ([], 'model = "own"', "own"),
        ([], "", "variable"),
    ],
)
def test_a_specifications_model_comes_before_the_variables(
    tmp_path, monkeypatch, capfd, option, options, opened
):
    def use_model(name):
        raise ValueError(f"{name} was to be opened")

    monkeypatch.setenv("JAXCLNF_MODEL", "variable")
    monkeypatch.setattr("jaxclnf.commands.choices.use_model", use_model)
    outcome = runner(monkeypatch, capfd)("sweep", written(tmp_path / "s.toml", options=options), *option)
    assert outcome.err == f"jaxclnf: {opened} was to be opened\n"


def written_faces(folder: Path, model: Model, missing: int = 1) -> None:
    """Four photos of noise, whose truth is the model's mean shape, and the names of some that are missing."""
    folder.mkdir()
    box = np.array([40, 40, 120, 120], np.float32)
    rng = np.random.default_rng(0)
    mean = params_from_box(model.pdm, jnp.asarray(box), jnp.zeros(3))
    points = np.asarray(landmarks(model, mean))
    for i in range(4):
        Image.fromarray(rng.integers(0, 256, (200, 200), np.uint8)).save(folder / f"{i}.png")
    n = 4 + missing
    names = [f"{i}.png" for i in range(n)]
    np.savez(folder / "points.npz", names=names, points=np.stack([points] * n), boxes=np.stack([box] * n))


def test_the_best_setting_can_become_the_models_own(tmp_path, monkeypatch, capfd):
    """On faces held back from the model that ships; what a sweep does not vary is that model's."""
    model = load_model()
    written_faces(tmp_path / "faces", model)
    vary = "reg_factor = [3.5, 1e6]\nfreedom = [0]"
    spec = written(tmp_path / "s.toml", vary, "held_back = 0.5")

    run = runner(monkeypatch, capfd)
    done = run("sweep", spec, "--out", tmp_path / "out", "--save", tmp_path / "tuned.npz")
    assert done.status == 1, done.err
    assert "1 annotated face could not be used, and the figures are without it" in done.err
    assert "% with reg_factor = 1000000.0" in done.out
    assert "4 faces of 68 landmarks read, 1 refused.\n  1 refused: photo missing (4.png)" in done.out
    page = (tmp_path / "out/README.md").read_text()
    assert "4 faces" in page  # the model says that it learned none of them
    assert "by the model jaxclnf 68 landmarks;" in page
    tuned = load_model(tmp_path / "tuned.npz")
    # Noise has no landmarks: the prior that keeps the mean shape in its box is best.
    assert {float(stage.reg_factor) for stage in tuned.settings.stages} == {1e6}
    assert tuned.settings.stages[0].sigma == model.settings.stages[0].sigma
    np.testing.assert_array_equal(tuned.settings.box_correction, model.settings.box_correction)
    np.testing.assert_array_equal(tuned.experts[0].weights, model.experts[0].weights)
    assert (tmp_path / "tuned.npz").stat().st_size < 8e6
    failed = run("sweep", spec, "--save", tmp_path / "none/tuned.npz")
    assert failed.status and "in a folder that exists" in failed.err
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/README.md").touch()
    refused = run("sweep", spec, "--out", tmp_path / "foreign")
    assert refused.status and "README.md is from no earlier run and would be lost" in refused.err


@pytest.mark.parametrize(
    ("given_up", "best", "warning"),
    [
        ([], "best of 2: mean error 4.000 % with iterations = 4", ""),
        (
            [4],
            "best of 2 (1 tried on all faces): mean error 5.000 % with iterations = 5",
            "jaxclnf: 1 task was given up; the same command tries again\n",
        ),
    ],
)
def test_a_sweep_that_lacks_settings_says_so_and_fails(tmp_path, monkeypatch, capfd, given_up, best, warning):
    """On a cluster that gives up the trials of some iterations; instead of fits, it makes up errors."""

    class Workers(Pool):
        def __init__(self) -> None:
            pass

        def run(self, tasks):
            yield [Done(task, result_of(task)) for task in tasks]

    def result_of(task):
        if isinstance(task, Timing):
            return 1.0
        if task.settings[0]["iterations"] in given_up:
            return Lost("broke")
        return [TriedSetting(s, 0, 4, 4 * [float(s["iterations"])], 0.0, 1.0) for s in task.settings]

    written_faces(tmp_path / "faces", load_model(), missing=0)
    monkeypatch.setattr("jaxclnf.commands.on_cluster.pool", lambda *_: nullcontext(Workers()))
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    spec = written(tmp_path / "s.toml", "iterations = [4, 5]")
    done = runner(monkeypatch, capfd)("sweep", spec, "--cluster", "here", "--out", tmp_path / "out")
    assert best in done.out and (tmp_path / "out/README.md").exists()
    assert (done.status, done.err.endswith(warning)) == (len(given_up), True)
