"""A cluster's table is that of one machine, whatever is lost; what it costs.

    python experiments/28_cluster/run.py                       # all parts; needs ../shared, Ray, an hour
    python experiments/28_cluster/run.py same lost-machine     # some of them
    python experiments/28_cluster/run.py --photos 200

The cluster is two machines of one processor each, started by ``ray start`` as processes of this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from machines import Machines, Use
from watched import During, Ended, command, watched

SHARED = Path(__file__).resolve().parents[3] / "shared"
SETS = ("faces/lfpw_test", "faces/lfpw_train", "faces/helen_train", "photos/helen_train")
MEASURED = Path(__file__).with_name("measured.json")
SHARD = 100


def photos(n: int) -> list[Path]:
    """The first of all photos there are."""
    kinds = (".png", ".jpg", ".jpeg")
    found = [p for name in SETS for p in sorted((SHARED / name).iterdir()) if p.suffix.lower() in kinds]
    return found[:n]


def apart(found: Path, expected: Path) -> str:
    """How far two tables are from each other, in words."""
    tables = [pl.read_csv(path, infer_schema_length=None) for path in (found, expected)]
    if any(tables[0][name].to_list() != tables[1][name].to_list() for name in ("source", "face", "status")):
        return "OTHER ROWS"
    points = [c for c in tables[0].columns if c[:2] in ("x_", "y_")]
    pixels = [table.select(points).cast(pl.Float64).to_numpy() for table in tables]
    if not np.array_equal(*(np.isfinite(p) for p in pixels)):
        return "OTHER EMPTY CELLS"
    return (
        f"{len(tables[0])} rows, landmarks apart by at most {np.nanmax(np.abs(pixels[0] - pixels[1])):.6f} px"
    )


class Trial:
    """A folder of inputs and results, and what is compared with."""

    def __init__(self, folder: Path, n_photos: int) -> None:
        self.folder = folder
        self.inputs = folder / "photos.txt"
        self.inputs.write_text("\n".join(map(str, photos(n_photos))))
        self.expected = folder / "alone/landmarks.csv"

    def alone(self) -> Ended:
        """`jaxclnf fit` without a cluster."""
        plain = ["--no-pictures", "--no-report", "--out", self.folder / "alone"]
        return watched(["fit", self.inputs, *plain])

    def on(self, machines: Machines, name: str, *options: object, during: During = lambda *_: True) -> Ended:
        """`jaxclnf fit --cluster` into a folder of that name."""
        there = ["--cluster", machines.address, "--shard", SHARD, "--out", self.folder / name, *options]
        return watched(["fit", self.inputs, *there], machines, during)

    def compared(self, name: str) -> str:
        """How far the merged table of a run is from the expected one."""
        merged = self.folder / f"{name}.csv"
        subprocess.run(command("merge", self.folder / name, merged), check=True, stdout=subprocess.DEVNULL)
        return apart(merged, self.expected)

    def done(self, name: str) -> int:
        """Shards of a run whose parts are there."""
        return len(list((self.folder / name / "landmarks").glob("part-*.parquet")))


def same(trial: Trial) -> None:
    """The same table, and what the cluster costs: runs alone and on the cluster, in turn."""
    with Machines() as machines:
        machines.start_two()
        alone, there = [], []
        for turn in range(2):
            alone.append(trial.alone())
            there.append(trial.on(machines, f"same-{turn}"))
    print(f"two machines: {trial.compared('same-0')}")
    for name, ended in (("alone", alone), ("cluster", there)):
        wall = ", ".join(f"{e.seconds:.0f}" for e in ended)
        work = ", ".join(f"{e.use.seconds:.0f}" for e in ended)
        print(f"  {name}: {wall} s; {work} processor seconds of all its processes")
    wall, work = (
        min(f(e) for e in there) / min(f(e) for e in alone) - 1
        for f in (lambda e: e.seconds, lambda e: e.use.seconds)
    )
    print(f"  overhead: {wall:+.1%} of the time, {work:+.1%} of the processors' time")


def lost_machine(trial: Trial) -> None:
    """A machine is ended in the middle and another started."""
    with Machines() as machines:
        machines.start_two()

        def replace(pid: int, use: Use) -> bool:
            if trial.done("lost-machine") < 4:
                return False
            machines.lose(machines.roots[1])
            machines.start(1)
            return True

        ended = trial.on(machines, "lost-machine", during=replace)
    print(f"a machine lost, another joined: status {ended.status}, {trial.compared('lost-machine')}")


def lost_driver(trial: Trial) -> None:
    """The command is killed in the middle and resumed."""
    with Machines() as machines:
        machines.start_two()

        def kill(pid: int, use: Use) -> bool:
            if trial.done("lost-driver") < 4:
                return False
            os.kill(pid, signal.SIGKILL)
            return True

        killed = trial.on(machines, "lost-driver", during=kill)
        n = trial.done("lost-driver")
        ended = trial.on(machines, "lost-driver", "--resume")
    print(
        f"driver killed ({killed.status}) after {n} shards, resumed ({ended.status}): "
        f"{trial.compared('lost-driver')}"
    )


def failing_shard(trial: Trial) -> None:
    """A shard whose part cannot be written, since a folder has its name."""
    name = "failing-shard"
    blocked = trial.folder / name / "landmarks/part-00000002.parquet"

    def block(pid: int, use: Use) -> bool:
        if (trial.folder / name / "job.json").exists():
            blocked.mkdir(parents=True, exist_ok=True)
        return blocked.exists()

    with Machines() as machines:
        machines.start_two()
        ended = trial.on(machines, name, during=block)
        said = next((line for line in ended.said.splitlines() if "given up" in line), "NOBODY NAMED IT")
        print(f"a shard that always fails: status {ended.status}, {said[:160]}")
        blocked.rmdir()
        rest = len(pl.read_parquet(trial.folder / name / "landmarks/*.parquet", columns=["source"]))
        ended = trial.on(machines, name, "--resume")
    print(
        f"  {rest} rows without it; once it can be written, resumed ({ended.status}): {trial.compared(name)}"
    )


def scaling(trial: Trial) -> None:
    """Runs with 1, 2 and 4 workers on this machine, for `simulate.py`."""
    with Machines() as machines:
        machines.start(4)
        machines.wait(1)
        trial.on(machines, "warm", "--workers", 2)
        runs = [timed(trial, machines, workers) for workers in (1, 2, 4)]
    inputs = [Path(line) for line in trial.inputs.read_text().splitlines()]
    parts = (trial.folder / "scaling-1/landmarks").glob("*.parquet")
    bytes_a_photo = {
        "read": round(sum(path.stat().st_size for path in inputs) / len(inputs)),
        "written": round(sum(path.stat().st_size for path in parts) / len(inputs)),
    }
    said = {
        "cores": os.cpu_count(),
        "photos": len(inputs),
        "shard": SHARD,
        "bytes": bytes_a_photo,
        "tasks_a_second": round(tasks_a_second()),
        "runs": runs,
    }
    print(f"bytes a photo: {bytes_a_photo}; {said['tasks_a_second']} empty tasks a second")
    MEASURED.write_text(json.dumps(said, indent=1) + "\n")


def timed(trial: Trial, machines: Machines, workers: int) -> dict:
    """A run with so many workers, and where its time went, by when its files were written."""
    folder, begun = trial.folder / f"scaling-{workers}", time.time()
    ended = trial.on(machines, folder.name, "--workers", workers)
    ledger = sorted((folder / "ledger").glob("*.jsonl"))
    shards = [json.loads(line) for file in ledger for line in file.read_text().splitlines()]
    planned, first, last = (path.stat().st_mtime for path in (folder / "job.json", ledger[0], ledger[-1]))
    times = {
        "seconds": ended.seconds,
        "begin": planned - begun,  # until the plan is written
        "start": first - shards[0]["seconds"] - planned,  # until the first worker works
        "end": begun + ended.seconds - last,
    }
    said = {name: round(value, 2) for name, value in times.items()}
    print(f"{workers} workers: {said}")
    columns = {name: [shard[name] for shard in shards] for name in ("seconds", "core_seconds")}
    return {"workers": workers, **said, "shards": columns}


def tasks_a_second(n: int = 2000) -> float:
    """How fast one driver hands out and takes back tasks that do nothing."""
    from jaxclnf.cluster.pool import Pool, PoolStage
    from jaxclnf.cluster.ray_engine import Size, connected
    from jaxclnf.cluster.worker import Circumstances

    def nothing(share, task, before):
        return task

    stages = [PoolStage(nothing, Size(cpus=0.5))]
    with connected("local") as ray, Pool(ray, {}, None, stages, Circumstances(".", None, False)) as pool:
        done = 0
        for finished in pool.run(range(n)):
            if not done and finished:
                begun = time.monotonic()
            done += len(finished)
    return done / (time.monotonic() - begun)


PARTS = {
    "same": same,
    "lost-machine": lost_machine,
    "lost-driver": lost_driver,
    "failing-shard": failing_shard,
    "scaling": scaling,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=[*PARTS])
    parser.add_argument("--photos", type=int, default=2000)
    asked = parser.parse_args()
    if not SHARED.exists():
        sys.exit("needs ../shared (faces and photos)")
    with tempfile.TemporaryDirectory() as name:
        trial = Trial(Path(name), asked.photos)
        if {"same", "scaling"}.isdisjoint(asked.parts):
            trial.alone()
        for part in asked.parts:
            PARTS[part](trial)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
