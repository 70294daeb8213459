"""What lies in the repository: no results of trials, nothing of anybody's data, by mistake."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

TEXT = {"", ".py", ".md", ".h", ".c", ".toml", ".yml", ".yaml", ".typed", ".js", ".html", ".css", ".json"}
AT_THE_TOP = {".py", ".md", ".toml", ".yml", ".yaml", ""}
OUR_ARRAYS = {"params/model.npz", "tests/small_golden.npz"}


def tracked() -> list[Path]:
    """The files that are committed, or would be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    said = shutil.which("git") and subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if not said or said.returncode:
        pytest.skip("not a clone: which files are committed is not known")
    return [Path(line) for line in said.stdout.splitlines()]


def test_arrays_and_pictures_are_those_that_are_meant_to_be_there():
    kinds = Counter(path.suffix for path in tracked())
    arrays = {str(path) for path in tracked() if path.suffix in {".npz", ".npy", ".pkl", ".mat", ".onnx"}}
    assert arrays == OUR_ARRAYS
    assert set(kinds) <= TEXT | {".npz", ".png", ".csv", ".ipynb"}


def test_nothing_but_the_house_stands_at_the_top():
    assert {path.suffix for path in tracked() if len(path.parts) == 1} <= AT_THE_TOP
