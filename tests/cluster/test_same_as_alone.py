"""Commands on a cluster, whose workers are the test's own process, write what they write alone."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from command_line import runner, write_faces, write_model
from PIL import Image
from video_files import write_video

from jaxclnf.batch import face_batches
from jaxclnf.cluster.pool import Done, PoolStage
from jaxclnf.cluster.worker import Share

SETTINGS = ["--model", "model.npz", "--set", "windows=7,5", "--set", "start_rotations=0,0,0"]


class Here:
    """Does tasks one by one, through all stages."""

    n_workers = 1

    def __init__(self, stages: list[PoolStage], share: Share) -> None:
        self._stages, self._share = stages, share

    def run(self, tasks: Iterable[Any]) -> Iterator[list[Done]]:
        for task in tasks:
            result = None
            for stage in self._stages:
                result = stage.function(self._share, task, result)
            yield [Done(task, result, "here")]


@pytest.fixture
def run(monkeypatch, capfd, tmp_path: Path):
    @contextmanager
    def pool(asked, stages, arrays, job) -> Iterator[Here]:
        yield Here(stages, Share(arrays, job))

    # Shards cut batches elsewhere. Sums in a batch of another size may be rounded otherwise, and so may a
    # pixel that is drawn: here every face is fitted alone, by one program, and files are equal byte by byte.
    monkeypatch.setattr(face_batches, "CPU_LIMITS", face_batches.CPU_LIMITS._replace(sizes=(1,)))
    monkeypatch.setattr("jaxclnf.commands.on_cluster.pool", pool)
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path)
    return runner(monkeypatch, capfd)


def contents(folder: Path, *within: str) -> dict[str, bytes]:
    """The files of a run that stand beside its table, by their names."""
    names = [path for name in within for path in (folder / name).glob("*.*")]
    names = [path for path in names if path.stem not in ("landmarks", "failures")]
    kinds = (".png", ".csv")
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in names if path.suffix in kinds}


def test_pictures_crops_and_openfaces_tables_have_the_names_of_a_run_alone(run, tmp_path: Path) -> None:
    write_faces(tmp_path / "photos", ["a/1.png", "b/1.png", "B/1.PNG", "2.png"])
    with Path("photos/boxes.csv").open("a") as file:
        file.write("2.png,50,40,10,9\n3.png,,5,,\n")
    Path("photos/3.png").write_bytes(Path("photos/2.png").read_bytes())
    with Image.open("photos/2.png") as still:
        still.save("photos/2.png", save_all=True, append_images=[Image.new("L", still.size)])
    pl.read_csv("photos/boxes.csv").write_parquet("photos/boxes.parquet")
    beside = ["--faces", "largest", "--pictures", "--crops", 32, "--openface-columns", "2.2", *SETTINGS]
    alone = run("fit", "photos", "--boxes", "photos/boxes.csv", *beside, "--no-report", "--out", "alone")
    there = [
        "--boxes",
        "photos/boxes.parquet",
        "--cluster",
        "here",
        "--readers",
        1,
        "--shard",
        3,
        "--out",
        "run",
    ]
    shards = run("fit", "photos", *there, *beside)
    assert (alone.status, shards.status) == (1, 1), alone.err + shards.err
    assert "photos/boxes.csv: the box of 3.png in line 7 is ['', '5', '', ''], expected numbers" in alone.err
    assert "photos/boxes.parquet: the box of 3.png in row 6 is ['5.0'], expected numbers" in shards.err
    further = "1 file with more than one picture, of which the first was fitted: photos/2.png\n"
    assert further in alone.out and further in shards.out
    expected = contents(tmp_path / "alone", "crops", "openface")
    assert contents(tmp_path / "run", "crops", "openface") == expected and len(expected) == 8
    pictures = {Path(name).name: data for name, data in contents(tmp_path / "run", "pictures").items()}
    assert pictures == {Path(name).name: data for name, data in contents(tmp_path / "alone", ".").items()}
    assert sorted(pictures) == ["1-2.png", "1-3.png", "1.png", "2.png"]
    assert run("merge", "run", "merged.csv").out == "merged.csv: 4 rows\n"
    assert Path("merged.csv").read_text() == Path("alone/landmarks.csv").read_text()
    resumed = run("fit", "photos", *there, *beside, "--resume")
    assert resumed.status == 1 and "in row 6 is ['5.0'], expected numbers" in resumed.err  # as before
    assert resumed.out.startswith(f"{tmp_path}/run goes on with its plan of 5 photos; what has come since")
    assert run("merge", "run", "merged.csv").out == "merged.csv: 4 rows\n"
    other = run("fit", "photos", "alone", *there, *beside, "--resume")
    assert other.status == 1 and "run was begun with other inputs (photos) and keeps to its plan" in other.err
    again = run("fit", "run", *SETTINGS, "--out", "again")
    assert again.status == 1 and "run holds no photos" in again.err  # they are results


def test_annotated_videos_and_openfaces_tables_are_those_of_a_run_alone(run, tmp_path: Path) -> None:
    for name in ("a/clip.mp4", "b/clip.mp4"):
        (tmp_path / name).parent.mkdir()
        write_video(tmp_path / name)
    beside = ["--pictures", "--openface-columns", "2.1", "--frames", 3, *SETTINGS]
    run("track", "a", "b", *beside, "--no-report", "--out", "alone")
    outcome = run("track", "a", "b", *beside, "--cluster", "here", "--out", "run")
    assert outcome.status == 0, outcome.err
    assert contents(tmp_path / "run", "openface") == contents(tmp_path / "alone", "openface")
    assert sorted(path.name for path in (tmp_path / "run/pictures").iterdir()) == ["clip-2.mp4", "clip.mp4"]
    run("merge", "run", "merged.csv")
    tables = [numbers(f"alone/{name}.csv") for name in ("clip", "clip-2")]
    assert numbers("merged.csv").equals(pl.concat(tables))


def numbers(path: str) -> pl.DataFrame:
    """A table by its values, however they are written."""
    table = pl.read_csv(path, infer_schema=False)
    return table.with_columns(pl.exclude("source", "status").cast(pl.Float64))
