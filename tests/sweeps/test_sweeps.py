"""Sweeps: what a specification stands for, a run that is stopped and goes on, the report."""

from __future__ import annotations

import codecs
import csv
import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from command_line import runner
from engine import box_of, synthetic_face, synthetic_model
from PIL import Image

from jaxclnf import load_model
from jaxclnf.config import FitConfig
from jaxclnf.data.charts import draw_cumulative_errors
from jaxclnf.data.datasets import Faces, read_faces
from jaxclnf.data.evaluate import learned_warning, not_learned
from jaxclnf.ops.shape import shape_2d
from jaxclnf.sweeps.results import Results, TriedSetting
from jaxclnf.sweeps.spec import Spec, configure, read_spec, static_part
from jaxclnf.sweeps.sweep_faces import Canvases, draw_photos, held_back_warning
from jaxclnf.sweeps.sweep_page import write_report
from jaxclnf.sweeps.sweep_run import describe, ranked, run_sweep
from jaxclnf.sweeps.tasks import TrialSetup, attempt

SPEC = """
datasets = ["faces"]
{options}
[vary]
{vary}
"""
GOOD = (
    'windows = [[7, 5]]\nstart_rotations = [[[0, 0, 0]]]\n"reg_factor.0" = [2, 20, 200]\nsigma = [1.0, 2.0]'
)


def written(path: Path, vary: str = GOOD, options: str = "") -> Path:
    path.write_text(SPEC.format(vary=vary, options=options), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def photos() -> Canvases:
    model = synthetic_model(jnp.float32)
    images, params = zip(*(synthetic_face(seed, np.float32) for seed in range(6)), strict=True)
    points = np.stack([shape_2d(model.pdm, p) for p in params])
    boxes = np.stack([box_of(model, p) for p in params]).astype(np.float32)
    return Canvases(np.stack(images), boxes, points, np.full(6, 80.0))


@pytest.mark.releases
def test_a_grid_is_every_combination_and_a_draw_repeats(tmp_path):
    grid = read_spec(written(tmp_path / "grid.toml"))
    assert len(grid.settings) == 6
    assert {s["reg_factor.0"] for s in grid.settings} == {2, 20, 200}
    doubled = read_spec(written(tmp_path / "grid.toml", "sigma = [1, 2, 1.0]"))
    assert doubled.settings == ({"sigma": 1}, {"sigma": 2})
    vary = "sigma = { low = 0.5, high = 2, log = true }\niterations = [3, 5]"
    path = written(tmp_path / "random.toml", vary, 'search = "random"\ncount = 20\nseed = 3')
    drawn = read_spec(path).settings
    assert len(drawn) == 20 and drawn == read_spec(path).settings
    assert all(0.5 <= s["sigma"] <= 2 and s["iterations"] in (3, 5) for s in drawn)


@pytest.mark.parametrize(
    ("low", "high", "log", "n_values"),
    [
        (1e-9, 1e-7, "true", 20),
        (1e-9, 1e-7, "false", 20),
        (1000, 1000.00001, "false", 20),
        (-3e-8, -2e-8, "false", 20),
        (1e-40, 1e-30, "true", 20),
        (1 / 3, 1 / 3, "true", 1),
        (2.0000004, 2.0000006, "false", 20),
    ],
)
def test_draws_from_small_ranges_stay_in_them_and_differ(tmp_path, low, high, log, n_values):
    vary = f"tolerance = {{ low = {low}, high = {high}, log = {log} }}"
    path = written(tmp_path / "s.toml", vary, 'search = "random"\ncount = 20')
    drawn = {setting["tolerance"] for setting in read_spec(path).settings}
    assert len(drawn) == n_values and low <= min(drawn) <= max(drawn) <= high


def test_draws_from_wider_ranges_are_those_of_sweeps_under_way(tmp_path):
    vary = "sigma = { low = 0.8, high = 2 }\ntolerance = { low = 1e-4, high = 0.1, log = true }"
    path = written(tmp_path / "s.toml", vary, 'search = "random"\ncount = 3')
    drawn = [list(setting.values()) for setting in read_spec(path).settings]
    assert drawn == [[1.564354, 0.000645], [0.849168, 0.000112], [1.775924, 0.054735]]


def test_specifications_may_come_from_windows(tmp_path):
    path = written(tmp_path / "s.toml")
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(read_spec(path).settings) == 6


def test_datasets_are_a_list_and_an_empty_name_is_the_model_that_ships(tmp_path):
    path = written(tmp_path / "s.toml", options='model = ""')
    assert read_spec(path).model is None
    path.write_text('datasets = "faces"\n[vary]\nsigma = [1]')
    with pytest.raises(ValueError, match="datasets = 'faces', expected a list$"):
        read_spec(path)


def test_a_setting_changes_what_it_names():
    changes = {"reg_factor.1": 3, "sigma": 2, "start_rotations": [[0, 90, 0]], "windows": [9, 7]}
    config = configure(FitConfig(), changes)
    coarse, fine = config.stages
    assert fine.reg_factor == 3 and coarse.reg_factor == FitConfig().stages[0].reg_factor
    assert (coarse.sigma, fine.sigma) == (2, 2) and (coarse.window, fine.window) == (9, 7)
    np.testing.assert_allclose(config.start_rotations, [[0, np.pi / 2, 0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("vary", "options", "complaint"),
    [
        ("sigmas = [1]", "", "'sigmas' is not a setting"),
        ('"sigma.9" = [1]', "", "number of one of 2 stages"),
        ("sigma = { low = 1, high = 2 }", "", "is not a list"),
        ('kernel = ["round"]', "", "kernel = 'round'"),
        ("windows = [[11, 9, 7, 5, 3]]", "", "expected scales for every one of 5"),
        ("windows = [[9, 9, 7, 7, 7]]\nscales = [[0, 1, 2, 2, 2]]", "", "expected reg_factor for every"),
        (GOOD, 'search = "best"', "search = 'best', expected 'grid', 'random' or 'halving'"),
        (GOOD, 'base = "bset"', "base = 'bset', expected one of model, default"),
        (GOOD, "faces = 0", "faces = 0, expected greater than or equal to 1"),
        (GOOD, "faces = true", "faces = True, expected a valid integer"),
        (GOOD, 'search = "random"\ncount = 1000000000', "1,000,000,000 settings, expected at most 10,000"),
        ("\n".join(f'"sigma.{i}" = {[*range(1, 30)]}' for i in range(4)), "", "707,281 settings, expected"),
        ("sigma = []", "", "sigma = [], expected at least one value"),
        ("sigma = { low = -1, high = 2, log = true }", 'search = "random"', "expected low above 0"),
        ("sigma = { low = 2, high = 1 }", 'search = "random"', "finite numbers in order"),
        ("sigma = { low = 1, high = inf }", 'search = "random"', "finite numbers in order"),
        ("sigma = { low = nan, high = 1 }", 'search = "random"', "finite numbers in order"),
        ("sigma = { low = true, high = 2 }", 'search = "random"', "finite numbers in order"),
        (
            'sigma = { low = 1, high = 2, log = "no" }',
            'search = "random"',
            "expected log to be true or false",
        ),
        ('sigma = { low = "a", high = 1 }', 'search = "random"', "finite numbers in order"),
        ("sigma = " + "[" * 10**4, "", "is not TOML"),
        (GOOD, "colour = 1", "is not an option of sweeps"),
        ("", "", "a table [vary]"),
        ("sigma = ", "", "is not TOML"),
    ],
)
def test_a_bad_specification_ends_in_one_sentence(tmp_path, monkeypatch, capfd, vary, options, complaint):
    outcome = runner(monkeypatch, capfd)("sweep", written(tmp_path / "spec.toml", vary, options))
    assert outcome.status == 1 and complaint in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_resumed_sweep_equals_an_unbroken_one(tmp_path, photos):
    spec = read_spec(written(tmp_path / "s.toml", options='search = "grid"'))
    model = synthetic_model(jnp.float32)
    description = describe(spec, model, photos)
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    expected = run_sweep(spec, model, photos, Results(whole, description))

    text = whole.read_text()
    broken.write_text(text[: len(text) // 2])  # in the middle of a line
    shares: list[float] = []
    resumed = run_sweep(spec, model, photos, Results(broken, description), shares.append)
    assert resumed == expected and shares[-1] == 1
    kept = Results(broken, description)
    assert kept.outcomes == Results(whole, description).outcomes
    assert len(expected) == 6 and len({tuple(o.errors) for o in expected}) == 6
    assert all(0 < outcome.iterations <= 2 * 2 * 5 for outcome in expected)

    with pytest.raises(ValueError, match="another sweep"):
        Results(whole, description | {"seed": 1})
    first = text.splitlines(keepends=True)[0]
    for damaged in (
        "[" * 10**5 + "\n",
        "[]\n",
        "\0\n",
        first + "[]\n",
        first + "{}\n",
        first + '{"milliseconds": 1}\n',
        '{"mine": 1}\n{"mine": 2}',  # of another program, without a line's end
        '{"mine": 1}',
    ):
        broken.write_text(damaged)
        with pytest.raises(ValueError, match=r"broken.jsonl (is not|holds another)"):
            Results(broken, description)
        assert broken.read_text() == damaged


def test_a_sweep_is_told_from_those_of_other_models_photos_and_boxes(photos):
    """By what they hold: a model's name and the true landmarks may stay the same."""
    model = synthetic_model(jnp.float32)
    larger = replace(model, pdm=replace(model.pdm, mean=1.1 * model.pdm.mean))
    others = [photos._replace(**{name: getattr(photos, name) + 1}) for name in Canvases._fields]
    sweeps = [(model, photos), (larger, photos), *((model, each) for each in others)]
    told = [json.dumps(describe(Spec((), ()), *sweep)) for sweep in sweeps]
    assert len(set(told)) == len(sweeps)
    assert told[0] == json.dumps(describe(Spec((), ()), model, Canvases(*map(np.copy, photos))))


def test_halving_tries_the_better_part_on_more_faces(tmp_path, photos):
    options = 'search = "halving"\ncount = 9\nfirst_faces = 2\nfactor = 3'
    vary = "start_rotations = [[[0, 0, 0]]]\nwindows = [[7, 5]]\n"
    vary += "reg_factor = { low = 1, high = 1e4, log = true }"
    spec = read_spec(written(tmp_path / "s.toml", vary, options))
    assert spec.rungs(6) == [2, 6]
    model = synthetic_model(jnp.float32)
    results = Results(tmp_path / "r.jsonl", describe(spec, model, photos))
    outcomes = run_sweep(spec, model, photos, results)
    first = [o for parts in results.outcomes.values() for o in parts if o.first == 0]
    assert len(first) == 9 and len(outcomes) == 3
    assert all(len(o.errors) == 6 for o in outcomes)
    cut = sorted(np.mean(o.errors) for o in first)[2]
    assert all(np.mean(o.errors[:2]) <= cut for o in outcomes)
    assert [o.setting for o in outcomes] == ranked(results, [o.setting for o in outcomes], 6)
    again = run_sweep(spec, model, photos, results, elsewhere=lambda tasks: iter([(t, None) for t in tasks]))
    assert again == outcomes


def test_tasks_done_elsewhere_in_any_order_find_the_same_but_what_is_given_up(tmp_path, photos):
    spec = read_spec(written(tmp_path / "s.toml"))
    model = synthetic_model(jnp.float32)
    expected = run_sweep(spec, model, photos, Results(tmp_path / "here.jsonl", {}))
    bench = TrialSetup(model, photos, spec.base_config(model))

    def elsewhere(tasks):
        return ((task, attempt(bench, task)) for task in reversed(list(tasks)))

    found = run_sweep(spec, model, photos, Results(tmp_path / "there.jsonl", {}), elsewhere=elsewhere)
    assert found == expected

    def lossy(tasks):
        return ((task, None) for task in tasks)

    with pytest.raises(ValueError, match="no setting was tried on all faces"):
        run_sweep(spec, model, photos, Results(tmp_path / "lost.jsonl", {}), elsewhere=lossy)


def test_parts_of_any_length_make_one_outcome(tmp_path):
    """A cluster's are shorter than those done here, and both may be known."""
    setting = {"sigma": 1}
    results = Results(tmp_path / "r.jsonl", {})
    assert results.whole(setting) is None and not results.covers(setting, 0, 1)
    for first, last in ((0, 2), (2, 4), (3, 4), (8, 9)):
        results.add(TriedSetting(setting, first, last, [float(first)] * (last - first), first, 2.0))
    assert results.whole(setting) == TriedSetting(setting, 0, 4, [0.0, 0.0, 2.0, 2.0], 1.0, 2.0)
    assert results.covers(setting, 1, 4) and not results.covers(setting, 1, 5)
    results.add(TriedSetting(setting, 0, 8, [7.0] * 8, 0.0, 3.0))
    assert results.whole(setting) == TriedSetting(setting, 0, 9, [7.0] * 8 + [8.0], 8 / 9, 3 - 1 / 9)
    assert all(results.covers(setting, *part) for part in ((0, 2), (2, 7), (7, 9)))


def test_settings_are_ranked_on_the_same_faces(tmp_path):
    """Whether or not an earlier run tried some of them on more."""
    results = Results(tmp_path / "r.jsonl", {})
    known, better = {"sigma": 1}, {"sigma": 2}
    results.add(TriedSetting(known, 0, 2, [4.0, 4.0], 0.0, 2.0))
    results.add(TriedSetting(known, 2, 4, [0.0, 0.0], 0.0, 2.0))
    results.add(TriedSetting(better, 0, 2, [3.0, 3.0], 0.0, 2.0))
    assert ranked(results, [known, better], 2) == [better, known]


def fails_as_on_a_full_disk(*_) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as of a write, without a name


def test_the_report_shows_what_was_found(tmp_path, photos, monkeypatch):
    vary = GOOD.replace("sigma =", '"sigma.0" =') + "\niterations = [4, 5]"
    spec = read_spec(written(tmp_path / "s.toml", vary))
    model = synthetic_model(jnp.float32)
    results = Results(tmp_path / "r.jsonl", describe(spec, model, photos))
    outcomes = [TriedSetting(s, 0, 6, [3.25 + i] * 6, -1.0, 8.0) for i, s in enumerate(spec.settings)]
    for setting in spec.settings:
        results.add_time(static_part(setting), float(setting["iterations"]))
    page = write_report(tmp_path, spec, "ours", outcomes, results).read_text()
    assert "6 faces of faces, drawn by seed 0, fitted by the model ours; what" in page
    best = f"{np.mean(outcomes[0].errors):.3f}".rstrip("0")
    assert best in page.split("| 1 |")[1].split("\n")[0]
    for name in ("pareto.png", "heatmap.png", "ced.png", "settings.csv"):
        assert (tmp_path / name).stat().st_size > 200
        assert name in page
    with open(tmp_path / "settings.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["iterations"] for row in rows] == [str(o.setting["iterations"]) for o in outcomes]
    assert {float(row["steps"]) for row in rows} == {8.0}
    header = json.loads((tmp_path / "r.jsonl").read_text().split("\n")[0])
    assert header["seed"] == Spec((), ()).seed
    before = (tmp_path / "ced.png").read_bytes()
    monkeypatch.setattr(os, "replace", fails_as_on_a_full_disk)
    with pytest.raises(OSError, match=r"No space left on device: '.*ced.png'"):
        draw_cumulative_errors(tmp_path / "ced.png", {"other": np.ones(3)})
    assert (tmp_path / "ced.png").read_bytes() == before and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(("known", "pareto"), [((3.0, 5.0), True), ((3.0,), False), ((), False)])
def test_a_setting_without_a_time_is_said_and_not_drawn(tmp_path, monkeypatch, known, pareto):
    """On a cluster a timing may be given up. Settings may be lists, too."""
    settings = [{"reg_factor": [r, r], "sigma": s, "iterations": s} for r in (1, 2) for s in (1, 2, 3)]
    outcomes = [TriedSetting(setting, 0, 2, [10.0, 20.0], 0.0, 3.0) for setting in settings]
    results = Results(tmp_path / "r.jsonl", {})
    for iterations, milliseconds in enumerate(known, 1):
        results.add_time(static_part({**settings[0], "iterations": iterations}), milliseconds)
    drawn = []
    monkeypatch.setattr("jaxclnf.sweeps.sweep_page.draw_pareto", lambda path, points: drawn.append(points))
    page = write_report(tmp_path, Spec((), tuple(settings)), "ours", outcomes, results).read_text()
    assert drawn == ([[(3.0, 15.0)] * 2 + [(5.0, 15.0)] * 2] if pareto else [])
    assert ("pareto.png" in page, "heatmap.png" in page) == (pareto, False)
    assert f"{6 - 2 * len(known)} have no time: it was given up." in page


def test_what_is_held_back_is_said_as_it_is_where_a_model_names_no_photos() -> None:
    """An evaluation has no share to hold back and takes all faces; a sweep holds back its share."""
    model, faces = synthetic_model(jnp.float32), Faces((Path("a.png"),), np.zeros((1, 68, 2), np.float32))
    assert learned_warning(faces, model, left_out=True).endswith("so that no face is left out")
    assert len(not_learned(faces, model)) == 1
    assert "those are taken that seed 0 holds back" in held_back_warning(
        faces, Spec((), (), held_back=0.5), model
    )
    assert held_back_warning(faces, Spec((), ()), model) == ""


def test_large_faces_of_a_sweep_are_reduced_once_and_errors_stay_what_they_are(tmp_path) -> None:
    model = load_model()
    points = np.random.default_rng(0).uniform(150, 650, (1, 68, 2)).astype(np.float32)
    Image.fromarray(np.zeros((800, 800), np.uint8)).save(tmp_path / "a.png")
    np.savez(tmp_path / "points.npz", names=["a.png"], points=points, boxes=[[150.0, 150, 500, 500]])
    faces, spec = read_faces([tmp_path]), Spec((tmp_path,), ())
    whole, small = draw_photos(faces, spec), draw_photos(faces, spec, model)
    by = small.boxes[0, 2] / whole.boxes[0, 2]
    pixels = (small.boxes[0, 2:] / np.ptp(np.asarray(model.pdm.mean)[:, :2], axis=0)).mean()
    np.testing.assert_allclose(pixels, model.settings.resolution, rtol=0.01)
    np.testing.assert_allclose(small.eye_distances, by * whole.eye_distances, rtol=1e-5)
    assert small.canvases.shape[1] < whole.canvases.shape[1]
    away = small.points[0] - small.boxes[0, :2]
    np.testing.assert_allclose(away, by * (whole.points[0] - whole.boxes[0, :2]), atol=0.01)
    varied = Spec((tmp_path,), ({"resolution": 1.0},))
    with pytest.raises(ValueError, match="resolution cannot be varied"):
        draw_photos(faces, varied, model)
    with pytest.raises(ValueError, match="the model has 68 landmarks and the faces have 5"):
        draw_photos(faces.regroup([[36], [45], [30], [48], [54]]), spec, model)
