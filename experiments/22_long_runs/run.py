"""Long runs: 1,000 photos of which 10 are bad, killed halfway and resumed; a video against the clock.

Prints the figures of README.md beside it. Needs OpenFace's model, photos and video in ../shared.
"""

from __future__ import annotations

import csv
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SHARED = Path(__file__).resolve().parents[3] / "shared"
MODEL = SHARED / "openface" / "model" / "main_clnf_general.txt"
N_GOOD, N_BAD = 990, 10


def jaxclnf(*arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "jaxclnf", *map(str, arguments), "--model", str(MODEL)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_folder(folder: Path) -> None:
    """Training photos with their boxes, and bad files among them."""
    rows = []
    for name in ("lfpw_train", "helen_train"):
        table = np.load(SHARED / "faces" / name / "points.npz")
        rows += [
            (SHARED / "faces" / name / n, b) for n, b in zip(table["names"], table["boxes"], strict=True)
        ]
    with (folder / "boxes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "x", "y", "w", "h"])
        for i, (photo, box) in enumerate(rows[:N_GOOD]):
            (folder / f"{i:04}.jpg").symlink_to(photo)
            writer.writerow([f"{i:04}.jpg", *box])
        for i in range(N_BAD):
            (folder / f"{i * 99:04}-bad.jpg").write_bytes(b"\xff\xd8 no photo" if i % 2 else b"")


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def resident(process: subprocess.Popen) -> float:
    """Memory of a process in MiB, 0 when it has ended."""
    try:
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * resource.getpagesize() / 2**20


def written(table: Path) -> int:
    path = table.with_suffix(".unfinished.csv")
    return path.read_bytes().count(b"\n") - 1 if path.exists() else 0


def run(arguments: list[object], table: Path, stop_after: int | None = None) -> dict[int, float]:
    """Run to the end, or kill after so many rows; returns memory by rows written."""
    process, memory = jaxclnf(*arguments), {}
    while process.poll() is None:
        n = written(table)
        memory[n] = resident(process)
        if stop_after is not None and n >= stop_after:
            process.send_signal(signal.SIGKILL)
            process.wait()
        time.sleep(0.1)
    return memory


def many_photos(folder: Path) -> None:
    photos = folder / "photos"
    photos.mkdir()
    make_folder(photos)
    base: list[object] = ["fit", photos, "--boxes", photos / "boxes.csv", "--no-pictures", "--out"]
    start = time.monotonic()
    memory = run([*base, folder / "whole"], folder / "whole" / "landmarks.csv")
    seconds = time.monotonic() - start
    rows, failures = (rows_of(folder / "whole" / name) for name in ("landmarks.csv", "failures.csv"))
    print(f"{len(rows)} rows, {len(failures)} named failures, {seconds:.0f} s")
    early, late = (
        max(m for n, m in memory.items() if low <= n < high) for low, high in ((200, 500), (700, 1000))
    )
    print(f"memory: {early:.0f} MiB between rows 200 and 500, {late:.0f} MiB between 700 and 1000")
    run([*base, folder / "cut"], folder / "cut" / "landmarks.csv", stop_after=500)
    print(f"killed after {written(folder / 'cut' / 'landmarks.csv')} rows")
    run([*base, folder / "cut", "--resume"], folder / "cut" / "landmarks.csv")
    again = rows_of(folder / "cut" / "landmarks.csv")
    same = [a["source"] for a in again] == [b["source"] for b in rows]
    points = [f"{axis}_{i}" for axis in "xy" for i in range(68)]
    apart = max(abs(float(a[p]) - float(b[p])) for a, b in zip(again, rows, strict=True) for p in points)
    print(f"resumed: the same photos in the same order: {same}; landmarks differ by at most {apart:.4f} px")


def a_video(folder: Path) -> None:
    """The second run, when everything is compiled; the time to start is taken off by a run of ten frames."""
    base: list[object] = [
        "track",
        SHARED / "samples" / "default.wmv",
        "--faces",
        1,
        "--no-report",
        "--out",
        folder,
    ]
    seconds = {}
    for n_frames in (10, 10, 200):
        start = time.monotonic()
        jaxclnf(*base, "--frames", n_frames).wait()
        seconds[n_frames] = time.monotonic() - start
    rate = 190 / (seconds[200] - seconds[10])
    print(f"default.wmv: {rate:.1f} frames a second on {os.cpu_count()} cores, reading to writing")


def main() -> None:
    sys.stdout.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue]
    with tempfile.TemporaryDirectory() as folder:
        a_video(Path(folder) / "video")
        many_photos(Path(folder))


if __name__ == "__main__":
    main()
