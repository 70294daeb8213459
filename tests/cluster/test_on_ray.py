"""Runs on Ray's own test cluster of two machines, one of which is lost and another joins."""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command_line import read_table, runner, write_faces, write_model

from jaxclnf.cluster.pool import TRIES, Lost, Pool, PoolStage
from jaxclnf.cluster.ray_engine import Size
from jaxclnf.cluster.worker import Circumstances

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'jaxclnf[cluster]'")

# Of JAX; what is forked here is Ray's and runs no JAX.
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:os.fork\(\) was called:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of files that some releases leave open
]

SMALL = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
SETTINGS = ["--model", "model.npz", "--set", "windows=7,5", "--set", "start_rotations=0,0,0"]
NAMES = [f"{i}.png" for i in range(12)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """A machine of one processor."""
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory(prefix="ray-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        cluster = Cluster(True, head_node_args={**SMALL, "include_dashboard": False})
        yield cluster
        ray.shutdown()
        cluster.shutdown()
        del cluster
        gc.collect()  # so that what was left open is found now


@pytest.mark.releases
def test_tasks_that_fail_or_kill_their_worker_are_named_and_the_rest_is_done(cluster) -> None:
    def read(share, task, before):
        return np.full(1000, task)

    def half(share, task, before):
        if task == 3:
            raise KeyError("three")
        if task == 5:
            os._exit(1)
        return before[0] / 2

    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    stages = [PoolStage(read, Size(cpus=0.25, most=1)), PoolStage(half, Size(cpus=0.25))]
    with Pool(ray, {}, None, stages, Circumstances(".", None, False)) as pool:
        done = {each.task: each.result for some in pool.run(range(8)) for each in some}
    ray.shutdown()
    assert {task: done[task] for task in (0, 1, 2, 4, 6, 7)} == {0: 0, 1: 0.5, 2: 1, 4: 2, 6: 3, 7: 3.5}
    assert done[3] == Lost(f"given up after {TRIES} tries: KeyError: 'three'")
    assert isinstance(done[5], Lost)


def test_a_machine_lost_and_another_that_joins_change_nothing(
    cluster, tmp_path: Path, monkeypatch, capfd
) -> None:
    monkeypatch.chdir(tmp_path)
    run = runner(monkeypatch, capfd)
    write_faces(tmp_path / "photos", NAMES)
    (tmp_path / "photos/13.png").write_bytes(b"no picture")
    write_model(tmp_path)
    arguments = ["photos", "--boxes", "photos/boxes.csv", *SETTINGS]
    second = cluster.add_node(**SMALL)
    with ThreadPoolExecutor(1) as beside:  # Ray starts machines in the main thread only
        fit = beside.submit(
            run, "fit", *arguments, "--out", "out", "--cluster", cluster.address, "--shard", 1
        )
        replace_when_begun(cluster, second, tmp_path / "out/ledger")
        outcome = fit.result()
    assert outcome.status == 1 and "13.png is not a picture" in outcome.err
    assert run("merge", "out", "merged.csv").status == 0
    run("fit", *arguments, "--out", "alone", "--no-pictures", "--no-report")
    compare(tmp_path / "merged.csv", tmp_path / "alone/landmarks.csv")
    failures = pl.read_parquet("out/failures/*.parquet")
    assert failures["source"].to_list() == ["photos/13.png"]


def replace_when_begun(cluster, node, ledger: Path) -> None:
    """Once the first shards are done a machine is lost, without a word, and another joins."""
    until = time.monotonic() + 60
    while len(list(ledger.glob("*.jsonl"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    cluster.remove_node(node, allow_graceful=False)
    cluster.add_node(**SMALL)


def compare(found: Path, expected: Path) -> None:
    """Tables are equal, row by row; pixels to 1e-3."""
    rows, others = read_table(found), read_table(expected)
    assert [row["source"] for row in rows] == [row["source"] for row in others]
    for row, other in zip(rows, others, strict=True):
        assert row["status"] == other["status"]
        for name in row.keys() - {"source", "status"}:
            millimetres = name.startswith("pose_T") or name[0] in "XYZ"
            tolerance = 1e-2 if millimetres else 1e-3  # as far off as pixels that are 1e-4 apart
            np.testing.assert_allclose(float(row[name]), float(other[name]), 0, tolerance, err_msg=name)
