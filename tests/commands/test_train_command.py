"""``jaxclnf train --from``: what stays of the model that it goes on from, and the files beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine import synthetic_face, synthetic_model
from PIL import Image

from jaxclnf import landmarks
from jaxclnf.models.storage import load_model, save_model
from jaxclnf.types import Provenance


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """A model with terms of use, and two faces to go on with; steps of learning are left out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jaxclnf.commands.train._patches_further", lambda model, *_: model)
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


def further(run, *arguments: object):
    return run("train", "faces", "--from", "m.npz", "--set", "held_back=0", *arguments)


def test_the_model_that_a_run_starts_from_stays(run, folder: Path) -> None:
    before = Path("m.npz").read_bytes()
    Path("link.npz").symlink_to("m.npz")
    for out in ("m.npz", "link.npz"):
        outcome = further(run, "--out", out)
        assert outcome.status == 1
        assert f"--out {out} is an input and would be written over" in outcome.err
    assert Path("m.npz").read_bytes() == before


def test_terms_and_origin_of_the_model_before_are_kept(run, folder: Path) -> None:
    assert further(run, "--out", "n.npz").status == 0
    told = load_model(Path("n.npz")).provenance
    assert (told.name, told.source) == ("n", "jaxclnf train faces --from theirs (made by them)")
    assert told.licence == "research only; after the terms of the training data"
    assert run("train", "faces", "--from", "n.npz", "--out", "o.npz", "--set", "held_back=0").status == 0
    assert load_model(Path("o.npz")).provenance.licence == told.licence
    assert further(run, "--out", "p.npz", "--licence", "by agreement").status == 0
    assert load_model(Path("p.npz")).provenance.licence == "by agreement"


def test_the_checkpoint_of_another_run_stays(run, folder: Path) -> None:
    """A run from nothing that was stopped goes on after one from a model to the same name."""
    another, own = Path("n.checkpoint.npz"), Path("n.patches.checkpoint.npz")
    another.touch()
    own.touch()
    outcome = further(run, "--out", "n.npz")
    assert outcome.status == 0, outcome.err
    assert another.exists() and not own.exists()
