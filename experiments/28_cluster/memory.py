"""Memory of the driver and the workers over a long run of repeated photos, ten boxes on each; with a picture.

python experiments/28_cluster/memory.py     # 100,000 faces; needs ../shared, Ray, an hour
python experiments/28_cluster/memory.py --faces 5000
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machines import Machines, Use
from matplotlib.figure import Figure
from watched import watched

SHARED = Path(__file__).resolve().parents[3] / "shared"
PICTURE = Path(__file__).resolve().parents[2] / "docs/memory_on_a_cluster.png"
SHARD = 100  # photos
BOXES_A_PHOTO = 10
LOOK_EVERY = 2.0  # seconds
WORKERS = ("ray::Worker", "ray::shard")
"""How Ray calls the processes of workers, idle and at work."""


class Look(NamedTuple):
    """Memory at one time, in MB."""

    shards: int  # that are done
    driver: float
    workers: tuple[float, ...]


def make_inputs(folder: Path, n_faces: int) -> list[object]:
    """Links to a few photos, many times over, and a table of boxes; the arguments that name them."""
    sources = SHARED / "faces/lfpw_test"
    table = np.load(sources / "points.npz")
    place, boxes = folder / "photos", folder / "boxes.csv"
    place.mkdir()
    with boxes.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "x", "y", "w", "h"])
        for i in range(n_faces // BOXES_A_PHOTO):
            k = i % len(table["names"])
            name = f"{i}{Path(str(table['names'][k])).suffix}"
            (place / name).symlink_to(sources / str(table["names"][k]))
            rows.writerows([name, *table["boxes"][k]] for _ in range(BOXES_A_PHOTO))
    return [place, "--boxes", boxes]


def run(folder: Path, n_faces: int) -> tuple[int, float, list[Look]]:
    """Exit status and seconds of a run on two machines, and its memory over time."""
    inputs, looks = make_inputs(folder, n_faces), []
    out = folder / "run"

    def look(pid: int, use: Use) -> bool:
        workers = tuple(b / 2**20 for p, b in use.memory.items() if b and use.names[p].startswith(WORKERS))
        done = len(list((out / "landmarks").glob("part-*.parquet")))
        looks.append(Look(done, use.memory.get(pid, 0) / 2**20, workers))
        return False

    with Machines() as machines:
        machines.start_two()
        there = ["--cluster", machines.address, "--shard", SHARD, "--out", out, "--preset", "fast"]
        ended = watched(["fit", *inputs, *there], machines, look, LOOK_EVERY)
    print(ended.said)
    return ended.status, ended.seconds, looks


def table(looks: list[Look]) -> str:
    """Most memory around a tenth, a quarter, half ... of the shards, in words."""
    most = max(look.shards for look in looks)
    lines = []
    for share in (0.1, 0.25, 0.5, 0.75, 1.0):
        now = [look for look in looks if share * most - 3 <= look.shards <= share * most and look.workers]
        worker = max(max(look.workers) for look in now)
        lines.append(
            f"  at {share:.0%} of the shards: driver {max(look.driver for look in now):.0f} MB, "
            f"largest worker {worker:.0f} MB"
        )
    return "\n".join(lines)


def draw(looks: list[Look], path: Path) -> None:
    """Memory over the shards that are done."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    shards = [look.shards * SHARD * BOXES_A_PHOTO for look in looks]
    axes.plot(shards, [look.driver for look in looks], label="the command")
    for k in range(max(len(look.workers) for look in looks)):
        mine = [look.workers[k] if k < len(look.workers) else np.nan for look in looks]
        axes.plot(shards, mine, label=f"worker {k + 1}")
    axes.set(xlabel="faces that are done", ylabel="resident memory, MB", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        status, seconds, looks = run(Path(name), asked.faces)
    print(f"{asked.faces} faces: status {status}, {asked.faces / seconds:.0f} faces/s")
    print(table(looks))
    draw(looks, asked.picture)


if __name__ == "__main__":
    main()
