"""``jaxclnf eval`` on made-up faces of the synthetic model, twelve of whose 68 landmarks it knows."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import chex
import jax.numpy as jnp
import numpy as np
import pytest
from command_line import read_table, write_model
from engine import synthetic_face, synthetic_model
from PIL import Image

from jaxclnf import FitConfig, fit, landmarks
from jaxclnf.data.datasets import Faces, photo_digest, read_faces
from jaxclnf.models.storage import load_model, save_model
from jaxclnf.training.calibrate import fit_calibration

SETTINGS = ["--set", "windows=7,5", "--set", "start_rotations=0,0,0"]
CORNERS = (4, 7)  # of the twelve, here the eyes' outer corners


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """A model and a dataset of three faces, 68 points each, the first twelve being the model's."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path)
    faces = tmp_path / "faces"
    faces.mkdir()
    points, boxes = [], []
    for seed in range(3):
        image, params = synthetic_face(seed, np.float32)
        Image.fromarray(image.round().clip(0, 255).astype(np.uint8)).save(faces / f"{seed}.png")
        known = np.asarray(landmarks(synthetic_model(np.float32), params))
        row = np.resize(known, (68, 2))
        row[36], row[45] = known[CORNERS[0]], known[CORNERS[1]]
        points.append(row)
        boxes.append([*(np.asarray(params.translation) - 50), 100, 86])
    np.savez(faces / "points.npz", names=[f"{i}.png" for i in range(3)], points=points, boxes=boxes)
    return tmp_path


def evaluate(run, *arguments: object):
    return run("eval", "faces", "--model", "model.npz", "--landmarks", "0-11", *SETTINGS, *arguments)


def add_unusable(folder: Path) -> None:
    """Annotate a photo that is not there."""
    with np.load(folder / "faces/points.npz") as table:
        arrays = {name: np.concatenate([table[name], table[name][:1]]) for name in table}
    arrays["names"][-1] = "x.png"
    np.savez(folder / "faces/points.npz", **arrays)


def test_a_table_of_photos_of_the_same_names_elsewhere_is_not_replaced(
    run, folder: Path, monkeypatch
) -> None:
    assert evaluate(run, "--out", folder / "out").status == 0
    before = (folder / "out/faces.csv").read_bytes()
    shutil.copytree(folder / "faces", folder / "elsewhere/faces")
    monkeypatch.chdir(folder / "elsewhere")
    (folder / "model.npz").rename("model.npz")
    outcome = evaluate(run, "--out", folder / "out")
    assert outcome.status == 1 and "faces.csv holds 3 other photos and would be lost" in outcome.err
    assert (folder / "out/faces.csv").read_bytes() == before
    monkeypatch.chdir(folder / "faces")
    same = (
        "eval",
        "../faces",
        "--model",
        "../elsewhere/model.npz",
        "--landmarks",
        "0-11",
        *SETTINGS,
        "--out",
        "../out",
    )
    outcome = run(*same)
    assert outcome.status == 0, outcome.err


def errors_by_hand(folder: Path) -> list[float]:
    """Of the same fits, made one by one."""
    with np.load(folder / "faces/points.npz") as table:
        points, boxes = table["points"], table["boxes"].astype(np.float32)
    model = synthetic_model(np.float32)
    config = FitConfig().changed(windows=(7, 5), start_rotations=jnp.zeros((1, 3)))
    errors = []
    for i in range(3):
        image = np.asarray(Image.open(folder / f"faces/{i}.png"))
        found = np.asarray(fit(model, image, boxes[i], config).landmarks)
        distance = np.sqrt(((found - points[i, :12]) ** 2).sum(axis=1)).mean()
        errors.append(100 * distance / np.sqrt(((points[i, 36] - points[i, 45]) ** 2).sum()))
    return errors


@pytest.mark.releases
def test_table_chart_and_figures(run, folder: Path) -> None:
    add_unusable(folder)
    outcome = evaluate(run, "--out", "out")
    assert outcome.status == 1, outcome.err
    assert "1 annotated face could not be used, and the figures are without it" in outcome.err
    refused = read_table(folder / "out/refused.csv")
    assert refused == [{"source": "faces/x.png", "reason": "photo missing"}]
    assert "By yaw" in outcome.out and " nan " not in outcome.out
    rows = read_table(folder / "out/faces.csv")
    assert [Path(row["photo"]).name for row in rows] == ["0.png", "1.png", "2.png"]
    expected = errors_by_hand(folder)
    np.testing.assert_allclose([float(row["error"]) for row in rows], expected, atol=2e-3)
    line = next(line for line in outcome.out.splitlines() if line.startswith("default"))
    faces, mean, median, *_ = map(float, line.split()[1:])
    assert faces == 3
    assert mean == pytest.approx(np.mean(expected), abs=2e-3)
    assert median == pytest.approx(np.median(expected), abs=2e-3)
    assert (folder / "out/ced.png").stat().st_size > 1000
    (folder / "faces").rename(folder / "other")
    outcome = run("eval", "other", "--model", "model.npz", "--landmarks", "0-11", "--out", "out")
    assert outcome.status == 1 and "out/faces.csv holds 3 other photos and would be lost" in outcome.err
    assert read_table(folder / "out/faces.csv") == rows


def test_a_photo_that_goes_away_during_the_run_costs_its_own_face_alone(
    run, folder: Path, monkeypatch
) -> None:
    read = Faces.image

    def goes_away(faces: Faces, i: int) -> np.ndarray:
        if i == 1:
            faces.photos[1].unlink(missing_ok=True)
        return read(faces, i)

    monkeypatch.setattr(Faces, "image", goes_away)
    outcome = evaluate(run)
    assert outcome.status == 1, outcome.err
    assert "1 annotated face could not be used, and the figures are without it" in outcome.err
    (gone,) = read_table(folder / "eval/refused.csv")
    assert gone["source"] == "faces/1.png" and "readable a moment ago" in gone["reason"]
    rows = read_table(folder / "eval/faces.csv")
    assert [row["photo"] for row in rows] == ["faces/0.png", "faces/2.png"]
    assert all(float(row["error"]) < 10 for row in rows)


def test_of_faces_none_of_which_can_be_used_the_reasons_are_written(run, folder: Path) -> None:
    for photo in (folder / "faces").glob("*.png"):
        photo.unlink()
    outcome = evaluate(run)
    assert outcome.status == 1 and "no usable face among 3 annotations: 3 x photo missing" in outcome.err
    assert [row["reason"] for row in read_table(folder / "eval/refused.csv")] == ["photo missing"] * 3
    assert outcome.out == "eval/refused.csv: all that was refused\n"


def renamed(folder: Path, old: str, new: str) -> None:
    """Give a photo of the dataset another name."""
    (folder / "faces" / old).rename(folder / "faces" / new)
    with np.load(folder / "faces/points.npz") as table:
        arrays = {**table, "names": [new if name == old else name for name in table["names"]]}
    np.savez(folder / "faces/points.npz", **arrays)


def test_models_and_presets_side_by_side_whatever_files_are_called(run, folder: Path) -> None:
    renamed(folder, "1.png", os.fsdecode(b"caf\xe9.png"))
    other = folder / os.fsdecode(b"m\xe9.npz")
    other.write_bytes((folder / "model.npz").read_bytes())
    outcome = evaluate(run, "--model", other.name, "--preset", "best", "--preset", "openface")
    assert outcome.status == 0, outcome.err
    runs = [f"{m}, {p}" for m in ("model", r"m\xe9") for p in ("best, as default", "openface")]
    rows = read_table(folder / "eval/faces.csv")
    assert [row["run"] for row in rows] == [r for r in runs for _ in range(3)]
    assert [row["photo"] for row in rows[:3]] == ["faces/0.png", r"faces/caf\xe9.png", "faces/2.png"]
    assert rows[0]["error"] == rows[6]["error"]


def test_misuse_is_one_sentence(run, folder: Path) -> None:
    cases = {
        ("nowhere",): "nowhere is not a folder",
        (
            "faces",
            "--landmarks",
            "0-4",
        ): "the model has 12 landmarks and the faces are annotated with 5: a model can be",
        ("faces",): "with 68; say by --landmarks which 12 of them",
        ("faces", "--landmarks", "eyes"): "landmarks must read like",
        ("faces", "--landmarks", "0-99"): "the dataset, which has 0 to 67",
    }
    (folder / "foreign").mkdir()
    (folder / "foreign/ced.png").touch()
    cases |= {("faces", "--out", "foreign"): "foreign/ced.png is from no earlier run and would be lost"}
    for arguments, sentence in cases.items():
        outcome = run("eval", "--out", "out", *arguments, "--model", "model.npz")
        assert outcome.status == 1
        assert sentence in outcome.err


def test_faces_of_an_unknown_markup_cannot_be_measured(run, folder: Path) -> None:
    with np.load(folder / "faces/points.npz") as table:
        arrays = {**table, "points": table["points"][:, :12]}
    np.savez(folder / "faces/points.npz", **arrays)
    outcome = run("eval", "faces", "--model", "model.npz", *SETTINGS)
    assert outcome.status == 1
    assert "unknown for a markup of 12 landmarks" in outcome.err


def learned(folder: Path, photos: list[int]) -> None:
    """Let the model say that it learned from some of the photos."""
    model = load_model(folder / "model.npz")
    digests = {photo_digest(np.asarray(Image.open(folder / f"faces/{i}.png"))) for i in photos}
    provenance = replace(model.provenance, learned=frozenset(digests))
    save_model(replace(model, provenance=provenance), folder / "model.npz")


def test_faces_that_a_model_learned_from_are_said_or_left_out(run, folder: Path) -> None:
    learned(folder, [0, 2])
    outcome = evaluate(run)
    assert outcome.status == 0 and "the model learned from 2 of these 3 faces" in outcome.err
    outcome = evaluate(run, "--held-back")
    assert outcome.status == 0 and "and they are left out" in outcome.err
    assert [row["photo"] for row in read_table(folder / "eval/faces.csv")] == ["faces/1.png"]
    learned(folder, [0, 1, 2])
    outcome = evaluate(run, "--held-back")
    assert outcome.status == 1 and "the model learned from all 3 faces" in outcome.err


def test_calibrating_makes_a_model_sure(run, folder: Path) -> None:
    """Unknown before; afterwards, of three good fits, the curve says that they are probably good."""
    learned(folder, [0])
    options = "--landmarks", "0-11", "--model", "model.npz"
    outcome = run("calibrate", "faces", "--out", "sure.npz", *options)
    assert outcome.status == 0 and "learned from 1 of these 3 faces, and they are left out" in outcome.err
    before, after = load_model(folder / "model.npz"), load_model(folder / "sure.npz")
    assert before.calibration is None and after.calibration is not None
    assert after.learned == before.learned
    faces = read_faces([folder / "faces"]).regroup([[i] for i in range(12)])
    counts: list[int] = []
    calibration = fit_calibration(before, faces.take([1, 2]), on_faces=counts.append)
    assert counts == [2]
    chex.assert_trees_all_equal(after.calibration, calibration)
