from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import interrupted, read_table, write_model
from shared_data import shared
from video_files import N_FRAMES, write_broken_video, write_video

from jaxclnf.media.detection import Detections, DetectorName, named_detectors
from jaxclnf.media.video_sources import open_video
from jaxclnf.output.growing_table import Table

SETTINGS = ["--set", "windows=7,5", "--set", "start_rotations=0,0,0", "--model", "model.npz"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """A folder with a video in which there is no face, and a model."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path)
    write_video(tmp_path / "a.mp4")
    return tmp_path


@pytest.mark.releases
def test_every_frame_has_its_row_also_without_a_face(run, folder: Path) -> None:
    outcome = run("track", "a.mp4", *SETTINGS)
    assert outcome.status == 0, outcome.err
    rows = read_table(folder / "out/a.csv")
    assert [int(row["frame"]) for row in rows] == list(range(1, N_FRAMES + 1))
    np.testing.assert_allclose([float(row["timestamp"]) for row in rows], np.arange(N_FRAMES) / 12.5)
    assert {(row["success"], row["confidence"], row["status"]) for row in rows} == {
        ("0", "0.000000", "no face")
    }
    assert sorted(os.listdir(folder / "out")) == ["a.csv", "a.mp4", "jaxclnf.json", "report.html"]


def test_that_more_faces_were_seen_than_are_followed_is_said_once(run, folder: Path, monkeypatch) -> None:
    boxes = np.float32([[20 * i, 5, 15, 15] for i in range(3)])
    crowd = Detections(boxes, np.ones(3, np.float32))
    monkeypatch.setitem(named_detectors._MAKERS, DetectorName.hog, lambda: lambda rgb: crowd)
    few = ["--no-pictures", "--no-report", "--detector", "hog", "--frames", "2"]
    outcome = run("track", "a.mp4", *SETTINGS, *few, "--faces", "2")
    assert outcome.status == 0, outcome.err
    said = "out/a.csv: 3 faces were seen in a frame, and 2 at most are followed; --faces says how many"
    assert outcome.out.splitlines().count(said) == 1
    assert "were seen" not in run("track", "a.mp4", *SETTINGS, *few, "--faces", "3").out


def test_a_table_that_cannot_be_written_ends_there(run, folder: Path, monkeypatch) -> None:
    """Frames that are under way then add nothing to it; its earlier rows stay."""
    add = Table.add

    def fails_once(self, rows) -> None:
        if rows[0][0] == "4" and not failed:
            failed.append(rows)
            raise OSError(errno.ENOSPC, "No space left on device", str(self.unfinished))
        add(self, rows)

    failed: list = []
    monkeypatch.setattr(Table, "add", fails_once)
    outcome = run("track", "a.mp4", *SETTINGS, "--no-report")
    assert outcome.status == 1 and "No space left" in outcome.err
    assert [row["frame"] for row in read_table(folder / "out/a.unfinished.csv")] == ["1", "2", "3"]


def test_another_stream_s_film_does_not_stay_beside_a_new_table(run, folder: Path, monkeypatch) -> None:
    for more in ((), ("--no-pictures",)):
        with (folder / "a.mp4").open("rb") as file:
            monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=file, isatty=lambda: False))
            assert run("track", "-", *SETTINGS, "--no-report", *more).status == 0
        left = sorted(path.name for path in (folder / "out").glob("standard_input*"))
        assert left == (["standard_input.csv"] if more else ["standard_input.csv", "standard_input.mp4"])


def test_a_mistyped_video_leaves_earlier_results_alone(run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = tmp_path / "out/report.html"
    report.parent.mkdir()
    report.write_text("of an earlier run")
    outcome = run("track", "nowhere.mp4", "--out", "out")
    assert outcome.status == 1
    assert "nowhere.mp4 does not exist" in outcome.err
    assert report.read_text() == "of an earlier run"
    assert list(report.parent.iterdir()) == [report]


def test_bad_videos_are_named_and_the_others_go_on(run, folder: Path) -> None:
    (folder / "b.mp4").write_text("no video")
    (folder / "deep").mkdir()
    write_video(folder / "deep/a.mp4", n_frames=3)
    outcome = run("track", "nowhere.mp4", "b.mp4", "a.mp4", "deep/a.mp4", *SETTINGS, "--no-pictures")
    assert outcome.status == 1
    assert "nowhere.mp4 does not exist" in outcome.err
    assert "b.mp4 is not a video" in outcome.err
    assert len(outcome.err.splitlines()) == 2
    assert sorted(os.listdir(folder / "out")) == [
        "a-2.csv",
        "a.csv",
        "failures.csv",
        "jaxclnf.json",
        "report.html",
    ]
    assert len(read_table(folder / "out/a-2.csv")) == 3


def test_what_failed_is_told_on_a_full_disk_too(run, folder: Path, monkeypatch) -> None:
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("jaxclnf.output.failures_table.write_whole", full)
    (folder / "b.mp4").write_text("no video")
    outcome = run("track", "b.mp4", *SETTINGS)
    assert outcome.status == 1 and "b.mp4 is not a video" in outcome.err
    assert "out/failures.csv could not be worked on: No space left on device\n" in outcome.err


def test_a_video_that_breaks_off_is_named_and_kept(run, folder: Path) -> None:
    write_broken_video(folder / "cut.avi")
    outcome = run("track", "cut.avi", *SETTINGS)
    assert outcome.status == 1
    assert "cut.avi breaks off after" in outcome.err
    assert len(read_table(folder / "out/cut.csv")) > 3
    assert len(list(open_video(str(folder / "out/cut.mp4")).frames)) == len(
        read_table(folder / "out/cut.csv")
    )


def broken_off(out: Path, name: str, source: Path) -> None:
    """Leave a file as a run does that is killed."""
    said = json.loads((out / "jaxclnf.json").read_text())
    said["files"][name] = str(source)
    (out / "jaxclnf.json").write_text(json.dumps(said))
    (out / name).write_text("frame,broken")


def test_resume_leaves_out_what_is_done(run, folder: Path) -> None:
    write_video(folder / "b.mp4")
    assert run("track", "a.mp4", *SETTINGS).status == 0
    before = (folder / "out/a.csv").stat().st_mtime_ns
    broken_off(folder / "out", "b.unfinished.csv", folder / "b.mp4")
    assert run("track", "a.mp4", "b.mp4", *SETTINGS, "--resume").status == 0
    assert (folder / "out/a.csv").stat().st_mtime_ns == before
    assert len(read_table(folder / "out/b.csv")) == N_FRAMES
    assert not (folder / "out/b.unfinished.csv").exists()


def test_ctrl_c_leaves_whole_rows_and_a_video_that_plays(folder: Path) -> None:
    write_video(folder / "long.mp4", n_frames=3000)
    unfinished = folder / "out/long.unfinished.csv"
    assert "stopped" in interrupted(["track", "long.mp4", *SETTINGS], unfinished, lines=100)
    rows = read_table(unfinished)
    assert all(row["log_likelihood"] for row in rows)
    # On a busy machine the process may end before its film is closed: then half a second, 6 frames, and the
    # few frames that the encoder looks ahead are missing.
    assert len(list(open_video(str(folder / "out/long.unfinished.mp4")).frames)) >= len(rows) - 30


def test_a_face_is_followed_and_read_by_openface_s_column_names(run, tmp_path: Path) -> None:
    model = shared("openface", "model", "main_clnf_general.txt")
    outcome = run(
        "track", shared("samples", "default.wmv"), "--model", model, "--frames", 20, "--out", tmp_path
    )
    assert outcome.status == 0, outcome.err
    rows = read_table(tmp_path / "default.csv")
    assert [row["face_id"] for row in rows] == ["0"] * 20
    assert all(row["success"] == "1" and float(row["confidence"]) > 0.5 for row in rows)
    # What scripts for OpenFace do: the tip of the nose, the head's distance, a point on the chin in 3D.
    nose = np.array([[float(row[name]) for name in ("x_30", "y_30")] for row in rows])
    assert np.abs(np.diff(nose, axis=0)).max() < 15
    assert all(300 < float(row["pose_Tz"]) < 1000 and 300 < float(row["Z_8"]) < 1000 for row in rows)
    assert len(list(open_video(str(tmp_path / "default.mp4")).frames)) == 20


def test_inputs_stay_and_every_video_has_its_own_table(run, folder: Path) -> None:
    (folder / "a.mp4").rename(folder / "clip.mp4")
    write_video(folder / "d/clip.mp4", n_frames=3)
    write_video(folder / "clip-2.mp4", n_frames=4)
    write_video(folder / "failures.mp4", n_frames=5)
    inputs = {path: path.read_bytes() for path in folder.rglob("*.mp4")}
    sources = ["clip.mp4", "d/clip.mp4", "clip-2.mp4", "failures.mp4"]
    outcome = run("track", *sources, *SETTINGS, "--out", ".", "--no-report")
    assert outcome.status == 0, outcome.err
    assert {path: path.read_bytes() for path in inputs} == inputs
    tables = [read_table(path) for path in folder.glob("*.csv")]
    assert sorted((rows[0]["source"], len(rows)) for rows in tables) == sorted(
        zip(sources, (N_FRAMES, 3, 4, 5), strict=True)
    )


def test_a_table_counts_for_its_own_video_settings_and_model(run, folder: Path) -> None:
    write_video(folder / "d/a.mp4", n_frames=3)
    assert run("track", "a.mp4", *SETTINGS, "--no-pictures").status == 0
    assert run("track", "d/a.mp4", *SETTINGS, "--no-pictures", "--resume").status == 0
    assert [len(read_table(folder / f"out/{name}.csv")) for name in ("a", "a-2")] == [N_FRAMES, 3]
    assert "2 frames" in run("track", "a.mp4", *SETTINGS, "--no-pictures", "--resume", "--frames", "2").out
    assert f"{N_FRAMES} frames" in run("track", "a.mp4", *SETTINGS, "--no-pictures", "--resume").out
    again = run("track", "a.mp4", *SETTINGS, "--no-pictures", "--resume").out
    assert "frames" not in again and "a.csv: done before" in again
    write_video(folder / "a.mp4", n_frames=5)
    assert "5 frames" in run("track", "a.mp4", *SETTINGS, "--no-pictures", "--resume").out


def test_resume_makes_files_that_were_not_asked_for_before(run, folder: Path) -> None:
    assert run("track", "a.mp4", *SETTINGS, "--no-pictures", "--no-report").status == 0
    again = "track", "a.mp4", *SETTINGS, "--resume", "--no-report", "--openface-columns"
    assert f"{N_FRAMES} frames" in run(*again, "2.1").out
    assert len(list(open_video("out/a.mp4").frames)) == N_FRAMES
    assert (folder / "out/openface/a.csv").read_text().startswith("frame, face_id")
    assert "done before" in run(*again, "2.1").out
    assert "frames" in run(*again, "2.2").out
    assert (folder / "out/openface/a.csv").read_text().startswith("frame,face_id")


def test_results_of_another_video_of_the_name_go_and_are_not_reported(run, folder: Path) -> None:
    also = "--openface-columns", "2.2"
    assert run("track", "a.mp4", *SETTINGS, *also, "--no-report").status == 0
    files = [folder / f"out/{name}" for name in ("a.csv", "a.mp4", "openface/a.csv")]
    write_video(folder / "b.mp4", n_frames=2)
    (folder / "a.mp4").rename("elsewhere")
    assert run("track", "a.mp4", "b.mp4", *SETTINGS).status == 1
    assert all(path.exists() for path in files)  # nothing better can be had
    assert "1 video, 2 frames, 1 problem" in (folder / "out/report.html").read_text()
    (folder / "a.mp4").write_bytes(b"garbage")
    assert run("track", "a.mp4", *SETTINGS).status == 1
    assert not any(path.exists() for path in files)
    (folder / "elsewhere").rename("a.mp4")
    assert run("track", "a.mp4", *SETTINGS, *also, "--no-report").status == 0
    assert run("track", "a.mp4", *SETTINGS, "--no-report", "--no-pictures", "--faces", "1").status == 0
    assert [path.exists() for path in files] == [True, False, False]  # the others show other settings' faces


def test_results_of_a_changed_video_stay_until_new_ones_are_whole(run, folder: Path, monkeypatch) -> None:
    assert run("track", "a.mp4", *SETTINGS, "--no-report").status == 0
    write_video(folder / "a.mp4", n_frames=5)
    before = {path: path.read_bytes() for path in (folder / "out").iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr("jaxclnf.media.detection.libface.is_installed", lambda: False)
        for wrong, said in (
            ("--certainty", "--certainty needs"),
            ("--detector=libface", "needs the package"),
        ):
            outcome = run("track", "a.mp4", *SETTINGS, wrong)
            assert outcome.status == 1 and said in outcome.err
            assert {path: path.read_bytes() for path in (folder / "out").iterdir()} == before
        patch.setattr("jaxclnf.output.video_files.VideoFiles.add", lambda *_: 1 / 0)
        assert run("track", "a.mp4", *SETTINGS, "--no-report").status == 1
    results = [folder / f"out/{name}" for name in ("a.csv", "a.mp4")]
    assert all(path.read_bytes() == before[path] for path in results)
    assert run("track", "a.mp4", *SETTINGS, "--no-report", "--resume").status == 0
    assert len(read_table(folder / "out/a.csv")) == 5


def test_a_film_that_cannot_be_written_costs_no_table(run, folder: Path, monkeypatch) -> None:
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jaxclnf.media.video_encoder.VideoFile.add", full)
    (folder / "b.mp4").write_bytes((folder / "a.mp4").read_bytes())
    outcome = run("track", "a.mp4", "b.mp4", *SETTINGS)
    assert outcome.status == 1
    assert outcome.err.count("No space left on device") == len(outcome.err.splitlines()) == 2
    assert [len(read_table(folder / f"out/{name}.csv")) for name in "ab"] == [N_FRAMES, N_FRAMES]
    assert not (folder / "out/a.mp4").exists()


def test_folders_and_patterns_of_videos(run, folder: Path) -> None:
    for name in ("one.mp4", "two [2].mp4", "deep/three.mp4"):
        write_video(folder / "session" / name, n_frames=2)
    for argument, tables in (("session", 3), ("session/*.mp4", 2), ("session/two [2].mp4", 1)):
        out = folder / f"out{tables}"
        outcome = run("track", argument, *SETTINGS, "--no-pictures", "--out", out, "--format", "parquet")
        assert outcome.status == 0, outcome.err
        assert len(list(out.glob("*.parquet"))) == tables


def test_rows_of_numbered_pictures_name_them_in_order(run, folder: Path) -> None:
    from PIL import Image

    (folder / "frames").mkdir()
    for i in (1, 2, 10, 11):
        Image.new("RGB", (64, 48), (20 * i, 0, 0)).save(folder / f"frames/f{i}.png")
    assert run("track", "frames", *SETTINGS, "--fps", "10").status == 0
    rows = read_table(folder / "out/frames.csv")
    assert [row["source"] for row in rows] == [f"frames/f{i}.png" for i in (1, 2, 10, 11)]
    assert [float(row["timestamp"]) for row in rows] == [0, 0.1, 0.2, 0.3]
