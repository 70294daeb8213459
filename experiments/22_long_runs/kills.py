"""Runs of fit, track and sweep, killed at random moments and resumed: are their tables those of whole runs?

    python experiments/22_long_runs/kills.py [KILLS]     # 50 of them without a number; needs ../shared

A run is killed (SIGKILL) at a moment drawn from the length of the unbroken one, then resumed, killed again,
and so on; after every third kill it is let through and its tables are compared cell by cell.
"""

from __future__ import annotations

import csv
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

SHARED = Path(__file__).resolve().parents[3] / "shared"
IN_A_ROW = 3  # kills before a run is let through
N_PHOTOS, N_FRAMES = 60, 60
MEASURED = ("ms_a_face",)
SWEEP = """
datasets = ["{faces}"]
faces = 24
[vary]
"sigma" = [1.0, 1.25, 1.5, 1.75, 2.0, 2.25]
"""


class Run(NamedTuple):
    """A command without ``--out``, what resumes it, and the tables it makes."""

    command: Sequence[str]
    resume: Sequence[str]
    tables: Sequence[str]


def start(run: Run, out: Path, resume: bool) -> subprocess.Popen:
    command = [sys.executable, "-m", "jaxclnf", *run.command, "--out", str(out)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen([*command, *(run.resume if resume else ())], text=True, **quiet)


def finish(run: Run, out: Path, resume: bool = False) -> float:
    """Seconds of a run that is let through; raises RuntimeError if it fails."""
    begun = time.monotonic()
    process = start(run, out, resume)
    _, said = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{run.command[0]} ended with {process.returncode}: {said}")
    return time.monotonic() - begun


def kill(run: Run, out: Path, resume: bool, after: float) -> bool:
    """Begin a run and kill it so many seconds later; whether it was still running."""
    process = start(run, out, resume)
    try:
        process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    return False


def broken_runs(run: Run, folder: Path, kills: int, draw: random.Random) -> Iterator[tuple[int, float]]:
    """Yields, after every few kills, how many there were and how far a number is from the unbroken run's."""
    finish(run, folder / "warm")  # programs are compiled and kept
    seconds = finish(run, folder / "whole")
    expected = [cells(folder / "whole" / table) for table in run.tables]
    for i, first in enumerate(range(0, kills, IN_A_ROW)):
        out, n = folder / f"cut-{i}", min(IN_A_ROW, kills - first)
        killed = [kill(run, out, k > 0, draw.uniform(0, seconds)) for k in range(n)]
        finish(run, out, resume=True)
        found = [cells(out / table) for table in run.tables]
        yield sum(killed), max(apart(a, b) for a, b in zip(found, expected, strict=True))


def cells(table: Path) -> list[list[str]]:
    """A table's rows, without what a clock has measured."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    kept = [i for i, name in enumerate(rows[0]) if name not in MEASURED]
    return [[row[i] for i in kept] for row in rows]


def apart(found: list[list[str]], expected: list[list[str]]) -> float:
    """The largest difference of two numbers in the same place; infinite if anything else differs."""
    if [len(row) for row in found] != [len(row) for row in expected]:
        return float("inf")
    pairs = (pair for rows in zip(found, expected, strict=True) for pair in zip(*rows, strict=True))
    return max((_difference(a, b) for a, b in pairs if a != b), default=0.0)


def _difference(a: str, b: str) -> float:
    try:
        return abs(float(a) - float(b))
    except ValueError:
        return float("inf")


def _photos(folder: Path) -> Run:
    faces = SHARED / "faces" / "lfpw_train"
    table = np.load(faces / "points.npz")
    folder.mkdir()
    rows = [["file", "x", "y", "w", "h"]]
    for name, box in list(zip(table["names"], table["boxes"], strict=True))[:N_PHOTOS]:
        (folder / str(name)).symlink_to(faces / str(name))
        rows.append([str(name), *map(str, box)])
    with (folder / "boxes.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    command = ("fit", str(folder), "--boxes", str(folder / "boxes.csv"), "--no-pictures")
    return Run(command, ("--resume",), ("landmarks.csv",))


def _videos(folder: Path) -> Run:
    """Three short videos that move over portraits."""
    from jaxclnf.media.video_encoder import VideoFile

    folder.mkdir()
    for n in range(1, 4):
        portrait = np.asarray(Image.open(SHARED / "samples" / f"sample{n}.jpg").convert("RGB"))
        film = VideoFile(folder / f"{n}.mp4", 25)
        for i in range(N_FRAMES // 3):
            film.add(np.roll(portrait, i, axis=1))
        film.finish()
    tables = tuple(f"{n}.csv" for n in range(1, 4))
    return Run(("track", str(folder), "--no-pictures", "--no-report"), ("--resume",), tables)


def _settings(folder: Path) -> Run:
    folder.mkdir()
    spec = folder / "sweep.toml"
    spec.write_text(SWEEP.format(faces=SHARED / "faces" / "lfpw_test"), encoding="utf-8")
    return Run(("sweep", str(spec)), (), ("settings.csv",))


def main(kills: int) -> None:
    if not SHARED.exists():
        sys.exit("needs ../shared (faces and sample photos)")
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        makers = (_photos, _videos, _settings)
        for k, make in enumerate(makers):
            run = make(folder / f"inputs-{k}")
            n = kills // len(makers) + (k < kills % len(makers))
            parts = list(broken_runs(run, folder / f"results-{k}", n, draw))
            hit, worst = sum(n for n, _ in parts), max(far for _, far in parts)
            print(f"{run.command[0]}: {n} kills, {hit} of them in a run; tables differ by at most {worst:g}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
