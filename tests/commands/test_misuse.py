"""Commands told wrongly: one sentence, nothing done, every input as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import write_faces, write_model
from openface_files import write_model as write_openface_model

CASES = {
    ("fit", ""): "'' is empty; did a variable of the shell hold nothing?",
    ("fit", "faces", "--out="): "'--out=' is empty",
    ("fit", "faces", "--model", "faces/0.png"): "faces/0.png: holds zero bytes, expected text",
    ("track", "faces", "--fps", "inf"): "--fps",
    ("track", "faces", "--fps", "nan"): "--fps",
    ("fit", "faces", "--margin", "nan"): "--margin",
    ("fit", "faces", "--cluster", "local", "--gpus", "nan"): "--gpus",
    ("convert", "main.txt", "faces/0.png"): "OUT faces/0.png: expected a file name ending in .npz",
    ("convert", "model.npz", "other.npz"): "model.npz is a .npz, which needs no conversion; give OpenFace's",
    ("convert", "main.txt", "nowhere/a.npz"): "in a folder that exists",
    ("convert", "main.txt", "/proc/a.npz"): "OUT /proc/a.npz: no file can be written there",
    ("calibrate", "faces", "--out", "model.npz", "--model", "model.npz"): "model.npz is an input",
    ("calibrate", "faces", "--out", "link.npz", "--model", "model.npz"): "link.npz is an input",
    ("sweep", "nowhere.toml"): "nowhere.toml does not exist; give a TOML file",
    ("sweep", "faces/0.png"): "faces/0.png is not TOML",
}


@pytest.mark.parametrize("arguments", CASES, ids=" ".join)
def test_misuse_is_one_sentence_and_inputs_stay(run, tmp_path: Path, monkeypatch, arguments) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path)
    write_faces(tmp_path / "faces", ["0.png"])
    (tmp_path / "link.npz").symlink_to("model.npz")
    write_openface_model(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    outcome = run(*arguments)
    assert outcome.status in (1, 2)
    assert CASES[arguments] in outcome.err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before
