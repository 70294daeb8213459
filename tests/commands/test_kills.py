"""Runs of the command line, killed at random moments and resumed: the tables are those of unbroken runs."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from types import ModuleType

import matplotlib.cbook
import numpy as np
import pytest
from command_line import write_faces, write_model

from jaxclnf.media.images import read_photo
from jaxclnf.media.video_encoder import VideoFile

ROOT = Path(__file__).resolve().parents[2]
KILLS = 1
ROUNDING = 2e-3
"""Resumed runs cut their batches elsewhere, which sum in another order, in float32."""


@pytest.fixture(scope="module")
def kills() -> ModuleType:
    script = ROOT / "experiments" / "22_long_runs" / "kills.py"
    spec = importlib.util.spec_from_file_location("kills", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def photos(kills: ModuleType, folder: Path):
    write_faces(folder, [f"{i:02}.png" for i in range(12)])
    model, boxes = write_model(folder), folder / "boxes.csv"
    command = ("fit", str(folder), "--boxes", str(boxes), "--model", str(model), "--no-report")
    return kills.Run(command, ("--resume",), ("landmarks.csv",))


def videos(kills: ModuleType, folder: Path):
    grace = read_photo(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    folder.mkdir()
    for name in "ab":
        film = VideoFile(folder / f"{name}.mp4", 25)
        for i in range(5):
            film.add(np.roll(grace, i, axis=1))
        film.finish()
    return kills.Run(("track", str(folder), "--no-report"), ("--resume",), ("a.csv", "b.csv"))


@pytest.mark.parametrize("inputs", [photos, videos], ids=["fit", "track"])
def test_killed_runs_are_resumed_to_the_same_tables(
    inputs, kills: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "JAXCLNF_CACHE_DIR", str(tmp_path / "cache")
    )  # as for users: the first run alone traces
    run = inputs(kills, tmp_path / "inputs")
    for _, apart in kills.broken_runs(run, tmp_path, KILLS, random.Random(1)):
        assert apart < ROUNDING


def test_tables_that_differ_are_told_apart(kills: ModuleType) -> None:
    table = [["file", "x"], ["a.png", "1.5"]]
    assert kills.apart(table, table) == 0
    assert kills.apart([["file", "x"], ["a.png", "1.25"]], table) == 0.25
    for other in ([["file", "x"]], [["file", "x"], ["b.png", "1.5"]], [*table, table[1]]):
        assert kills.apart(other, table) == float("inf")
