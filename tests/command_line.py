"""Running the command line inside the test's process, and what its tests work on."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from engine import synthetic_face, synthetic_model
from PIL import Image

# What `fit` imports in threads: the import hook parses modules, which Python 3.11 cannot do in two at once.
import jaxclnf.media.addresses
import jaxclnf.media.box_tables
import jaxclnf.media.inputs
import jaxclnf.media.read_and_detect
import jaxclnf.output.report  # noqa: F401
from jaxclnf.cli import main
from jaxclnf.models.storage import save_model


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


def runner(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Callable[..., Outcome]:
    """``run("fit", photo, "--out", folder)`` as a shell would; no traceback may reach the user."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["jaxclnf", *map(str, arguments)])
        capfd.readouterr()
        try:
            main()
            status = 0
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Outcome(status, out, err)

    return run


def write_faces(folder: Path, names: list[str]) -> list[np.ndarray]:
    """A photo of a synthetic face under each name, its box in ``boxes.csv``; returns their middles."""
    lines, middles = [["file", "x", "y", "w", "h"]], []
    for seed, name in enumerate(names):
        image, params = synthetic_face(seed, np.float32)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.round().clip(0, 255).astype(np.uint8)).save(folder / name)
        middle = np.asarray(params.translation)
        lines.append([name, *(middle - 50), 100, 86])
        middles.append(middle)
    with (folder / "boxes.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
    return middles


def write_model(folder: Path) -> Path:
    """The synthetic model in a file."""
    save_model(synthetic_model(np.float32), folder / "model.npz")
    return folder / "model.npz"


def interrupted(arguments: list[str], unfinished: Path, lines: int = 20) -> str:
    """Run the command line, press Ctrl-C once ``unfinished`` has so many lines; returns what it says then."""
    command = [sys.executable, "-m", "jaxclnf", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 300
    while not unfinished.exists() or unfinished.read_bytes().count(b"\n") < lines:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err
    return err


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
