"""``jaxclnf train``: how many faces it needs; with ``--from``, what stays of the model, files beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from engine import synthetic_face, synthetic_model
from PIL import Image

from jaxclnf import landmarks
from jaxclnf.commands import train
from jaxclnf.commands.train_recipes import asked_recipes
from jaxclnf.commands.train_run import PATCHES, TrainRun
from jaxclnf.data.datasets import Faces
from jaxclnf.models.network_presets import settings_for
from jaxclnf.models.storage import load_model, save_model
from jaxclnf.training.conv.network_recipe import ConvRecipe
from jaxclnf.training.conv.training_run import unlearned
from jaxclnf.types import Model, Provenance, Visibility


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """A model with terms of use, and two faces to go on with; steps of learning are left out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jaxclnf.commands.train.with_patches_further", lambda model, *_: model)
    model = synthetic_model(np.float32)
    terms = Provenance("theirs", "made by them", "research only")
    save_model(replace(model, provenance=terms), Path("m.npz"))
    Path("faces").mkdir()
    points = []
    for seed in range(2):
        image, params = synthetic_face(seed, np.float32)
        Image.fromarray(image.round().clip(0, 255).astype(np.uint8)).save(f"faces/{seed}.png")
        points.append(np.asarray(landmarks(model, params)))
    np.savez("faces/points.npz", names=["0.png", "1.png"], points=points)
    return tmp_path


def begun(model: Model, run: TrainRun) -> Model:
    """Leave the checkpoint of patch experts that have begun to learn further."""
    run.checkpoint(PATCHES).save(0, 1, [np.zeros(1)], [np.zeros(1)], finished=False)
    assert run.checkpoint_file(PATCHES).exists()
    return model


def further(run, *arguments: object):
    return run("train", "faces", "--from", "m.npz", "--set", "held_back=0", *arguments)


@pytest.fixture
def networks(folder: Path, monkeypatch) -> None:
    """The model has a small network, too, of a known spread, and the markup of its faces a mirror image."""
    model = load_model(Path("m.npz"))
    mirror = tuple(range(model.pdm.n_points))
    recipe = ConvRecipe(side=32, stem=4, channels=(8, 8), blocks=(1, 0))
    network = replace(unlearned(model.pdm, recipe, mirror), spread=np.float32(0.125))
    seen = Visibility(np.zeros(len(mirror), np.float32), np.float32(-2), np.float32(1))
    model = replace(model, experts=(*model.experts, network), visibility=seen)
    save_model(replace(model, settings=settings_for(model, "default")), Path("m.npz"))
    known = train.annotated_faces

    def with_markup(datasets):
        faces = known(datasets)
        return replace(faces, mirror=mirror, eye_distances=np.full(len(faces), 40.0))

    monkeypatch.setattr(train, "annotated_faces", with_markup)


SMALL = [
    f"conv.{value}" for value in ("side=32", "stem=4", "channels=8,8", "blocks=1,0", "steps=1", "batch=2")
]


def set_(*values: str) -> list[str]:
    return [word for value in values for word in ("--set", value)]


def test_what_cannot_be_measured_anew_of_a_network_stays(run, networks) -> None:
    with jax.numpy_dtype_promotion("standard"):  # optax counts steps in integers
        outcome = further(run, "--out", "n.npz", "--experts", "conv", *set_(*SMALL))
    assert outcome.status == 0, outcome.err
    assert "How sure its networks are was not measured, for want of faces that are held back" in outcome.out
    before, after = load_model(Path("m.npz")), load_model(Path("n.npz"))
    assert after.experts[-1].spread == 0.125 and after.visibility == before.visibility
    kernels = [model.experts[-1].network.head.kernel for model in (before, after)]
    assert not np.array_equal(*kernels)


def test_what_hidden_landmarks_tell_stays_where_fits_tell_nothing(run, networks, monkeypatch) -> None:
    monkeypatch.setattr(train, "learned_visibility", lambda *_: None)
    monkeypatch.setattr(train, "_calibration", lambda *_: None)
    outcome = run("train", "faces", "--from", "m.npz", "--out", "n.npz", "--set", "held_back=0.5")
    assert outcome.status == 0, outcome.err
    assert load_model(Path("n.npz")).visibility == load_model(Path("m.npz")).visibility


def test_a_network_is_taught_further_in_its_own_size_alone(run, networks) -> None:
    for other in ("conv.side=64", "conv.reach=2", "conv.blocks=1,1"):
        outcome = further(run, "--out", "n.npz", "--experts", "conv", *set_(*SMALL, other))
        assert outcome.status == 1
        assert "--experts conv: the model of --from has no network of side" in outcome.err
        assert "say by --set conv.side=... and the like" in " ".join(outcome.err.split())
    assert not Path("n.npz").exists()


def test_markups_from_which_networks_cannot_learn_are_refused_first(run, folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(train, "learn_patches", lambda *_: pytest.fail("patch experts were begun"))
    outcome = run("train", "faces", "--out", "n.npz", "--experts", "ccnf,conv")
    assert outcome.status == 1
    told = " ".join(outcome.err.split())
    assert "networks (conv) learn from mirrored faces too, and the mirror image of these 12 landmarks" in told


def test_faces_that_cannot_be_turned_are_refused_first(run, networks, monkeypatch) -> None:
    monkeypatch.setattr(train, "learn_patches", lambda *_: pytest.fail("patch experts were begun"))
    asked = ["--experts", "ccnf,conv", *set_("conv.turned=1")]
    outcome = run("train", "faces", "--out", "n.npz", *asked)
    assert outcome.status == 1
    assert "conv.turned=1: faces with 12 landmarks cannot be turned; set it to 0" in outcome.err


def test_the_model_that_a_run_starts_from_stays(run, folder: Path) -> None:
    before = Path("m.npz").read_bytes()
    Path("link.npz").symlink_to("m.npz")
    for out in ("m.npz", "link.npz"):
        outcome = further(run, "--out", out)
        assert outcome.status == 1
        assert f"--out {out} is an input and would be written over" in outcome.err
    assert Path("m.npz").read_bytes() == before


def test_a_model_is_taught_further_on_its_own_landmarks_alone(run, folder: Path) -> None:
    arrays = dict(np.load("faces/points.npz"))
    np.savez("faces/points.npz", **{**arrays, "points": np.resize(arrays["points"], (2, 68, 2))})
    for asked, sentence in (
        (["--landmarks", "36-41"], "annotated with 6: a model can be taught further only where each of its"),
        ([], "annotated with 68; say by --landmarks which 12 of them"),
    ):
        outcome = further(run, "--out", "n.npz", *asked)
        assert outcome.status == 1 and "the model has 12 landmarks" in outcome.err
        assert sentence in outcome.err and not Path("n.npz").exists()


def test_a_model_learned_without_some_of_the_faces_says_so(run, folder: Path) -> None:
    Path("faces/1.png").unlink()
    outcome = further(run, "--out", "n.npz")
    assert outcome.status == 1 and Path("n.npz").exists() and not Path("n.checkpoint.npz").exists()
    assert "1 annotated face could not be used, and n.npz was learned without it" in outcome.err


def test_terms_and_origin_of_the_model_before_are_kept(run, folder: Path) -> None:
    assert further(run, "--out", "n.npz").status == 0
    told = load_model(Path("n.npz")).provenance
    assert (told.name, told.source) == ("n", "jaxclnf train faces --from theirs (made by them)")
    assert told.licence == "research only; after the terms of the training data"
    assert run("train", "faces", "--from", "n.npz", "--out", "o.npz", "--set", "held_back=0").status == 0
    assert load_model(Path("o.npz")).provenance.licence == told.licence
    assert further(run, "--out", "p.npz", "--licence", "by agreement").status == 0
    assert load_model(Path("p.npz")).provenance.licence == "by agreement"


def test_the_checkpoint_of_another_run_stays(run, folder: Path, monkeypatch) -> None:
    """A run from nothing that was stopped goes on after one from a model to the same name."""
    another, own = Path("n.checkpoint.npz"), Path("n.patches.checkpoint.npz")
    another.touch()
    monkeypatch.setattr(train, "with_patches_further", begun)
    outcome = further(run, "--out", "n.npz")
    assert outcome.status == 0, outcome.err
    assert another.exists() and not own.exists()


def test_checkpoints_stay_while_the_model_cannot_be_opened(run, folder: Path, monkeypatch) -> None:
    own = Path("n.patches.checkpoint.npz")
    monkeypatch.setattr(train, "with_patches_further", begun)

    def save(model, path, _) -> None:
        path.write_text("no model")

    monkeypatch.setattr("jaxclnf.models.storage.save_model", save)
    outcome = further(run, "--out", "n.npz")
    assert outcome.status == 1 and own.exists()
    told = " ".join(outcome.err.split())
    assert "the model that was written cannot be opened: n.npz: not a whole model file" in told
    assert "What it learned is kept in n.patches.checkpoint.npz" in told


def test_a_network_that_another_taught_is_not_gone_on_with(run, networks, monkeypatch) -> None:
    """It is refused before anything is learned; the command that was stopped goes on."""

    def stopped(run: TrainRun) -> Model:
        if not run.checkpoint_file("conv").exists():
            run.checkpoint("conv").save(0, 1, [np.zeros(1)], [np.zeros(1)], finished=False)
        raise ValueError("stopped")

    monkeypatch.setattr(train, "learn_patches", stopped)
    for experts, sentence in (
        ("ccnf,conv,fast", "stopped"),
        ("ccnf,conv,fast", "stopped"),
        ("ccnf,conv", "stopped"),
        ("ccnf,large,conv,fast", "n.conv.checkpoint.npz belongs to a run with other settings or faces"),
    ):
        outcome = run("train", "faces", "--out", "n.npz", "--experts", experts)
        assert outcome.status == 1 and sentence in outcome.err


def test_a_run_is_known_by_its_networks_photos_and_boxes() -> None:
    recipe, networks = asked_recipes("ccnf,large,conv", [], seed=0, further=False)
    points, boxes = np.zeros((1, 5, 2), np.float32), np.ones((1, 4), np.float32)
    faces = Faces((Path("0.png"),), points, digests=(b"12345678",))
    runs = [
        train._identity(each, recipe)
        for each in (faces, replace(faces, digests=(b"87654321",)), replace(faces, boxes=boxes))
    ]
    runs += [train._identity(faces, replace(recipe, seed=1))]
    assert len(set(runs)) == len(runs) and runs[0] == train._identity(replace(faces), recipe)
    known = [
        TrainRun(faces, faces, recipe, some, Path("n.npz"), "run").checkpoint(PATCHES).run
        for some in (networks, {"conv": networks["conv"]}, {})
    ]
    assert len(set(known)) == 3


def many_faces(n: int) -> None:
    """Write a dataset of ``n`` small photos."""
    rng = np.random.default_rng(0)
    points = np.load("faces/points.npz")["points"][:1] + rng.normal(0, 1, (n, 1, 1))
    names = [f"many-{i}.png" for i in range(n)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (160, 200)).astype(np.uint8)).save(f"faces/{name}")
    np.savez("faces/points.npz", names=names, points=points)


def test_too_few_faces_are_told_with_what_to_set(run, folder: Path) -> None:
    many_faces(21)
    outcome = run("train", "faces", "--out", "n.npz")
    assert outcome.status == 1
    sentence = (
        "19 faces are too few to learn a PDM from; at least 20 are needed. 2 more are held back, none with"
    )
    assert f"{sentence} --set held_back=0." in " ".join(outcome.err.split())
    outcome = run("train", "faces", "--out", "n.npz", "--set", "held_back=0", "--set", "modes=30")
    assert "21 faces are too few for 30 modes; give more, or --set modes of at most 21." in outcome.err


def test_the_number_of_modes_can_be_set(run, folder: Path, monkeypatch) -> None:
    many_faces(20)
    asked: list = []

    def stop(points, modes, *_, **__):
        asked.append(modes)
        raise ValueError("enough")

    monkeypatch.setattr("jaxclnf.training.pdm.learn_pdm", stop)
    for setting in ("modes=8", "modes=0"):
        run("train", "faces", "--out", "n.npz", "--set", "held_back=0", "--set", setting)
    assert asked == [8, None]


def test_settings_of_networks_that_only_hold_together_can_be_set() -> None:
    """A network of three levels has as many channels as blocks."""
    settings = ["steps=9,8", "conv.channels=8,16,32", "conv.blocks=1,1,2"]
    recipe, networks = asked_recipes("ccnf,conv", settings, seed=3, further=False)
    assert (recipe.steps, recipe.seed) == ((9, 8), 3)
    assert [(each.channels, each.blocks) for each in networks.values()] == [((8, 16, 32), (1, 1, 2))]


@pytest.mark.parametrize(
    ("experts", "setting", "expected"),
    [
        ("ccnf,conf", "modes=8", "--experts ccnf,conf: 'conf' is none of ccnf, large, conv, fast"),
        ("conv", "modes=8", "--experts conv: expected ccnf among them"),
        ("ccnf", "mode=8", "--set mode=8: 'mode' is not a setting; settings are modes, scales"),
        ("ccnf", "modes=all", "--set modes=all: expected a value like 0"),
        ("ccnf", "rates=0.01,nan", "scales, sigmas, rates, target_width and further_rate must be finite and"),
        ("ccnf", "windows=13,13,11,33", "windows=13,13,11,33: with edge terms they are at most 31 pixels;"),
        ("ccnf", "support=65", "support=65: expected at most 63 pixels"),
        ("ccnf", "scales=0.25,0.35,0.5,2000", "scales=0.25,0.35,0.5,2000: expected 0.001 to 1000 pixels"),
        ("ccnf,conv", "conv.side=1024", "side=1024: expected a picture of at most 512 pixels a side"),
        ("ccnf", "conv.steps=8", "--set conv.steps=8: 'conv' is not a network of --experts"),
        ("ccnf,conv", "conv.rate=nan", "reach, rate and target_width must be finite and above 0"),
        ("ccnf,conv", "conv.average=1", "must be from 0 to 1, average from 0 to below 1"),
        ("ccnf,conv", "conv.modes=8", "--set conv.modes=8: 'modes' is not a setting; settings are side"),
    ],
)
def test_experts_and_settings_that_are_not_are_refused(run, folder, experts, setting, expected) -> None:
    outcome = run("train", "faces", "--out", "n.npz", "--experts", experts, "--set", setting)
    assert outcome.status == 1
    assert expected in " ".join(outcome.err.split())
