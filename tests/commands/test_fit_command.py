from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import interrupted, read_table, write_faces, write_model
from engine import synthetic_model
from PIL import Image
from shared_data import shared

from jaxclnf.commands.choices import asked_config
from jaxclnf.commands.options import Preset
from jaxclnf.commands.said_of_photos import SaidOfPhotos
from jaxclnf.models.manifest import read_manifest
from jaxclnf.output.photo_pipeline import Photo, load_photos
from jaxclnf.types import Part, Provenance

NAMES = ["plain.png", "with space.png", 'it\'s "quoted", 顔.png', "new\nline.png", "deep/plain.png"]
SETTINGS = ["--set", "windows=7,5", "--set", "start_rotations=0,0,0"]


@pytest.fixture
def faces(tmp_path: Path, monkeypatch) -> Path:
    """A folder with photos and their boxes, and a model beside it."""
    monkeypatch.chdir(tmp_path)
    write_faces(tmp_path / "photos", NAMES)
    write_model(tmp_path)
    return tmp_path


def fit(run, *arguments: object):
    return run("fit", *arguments, "--model", "model.npz", "--boxes", "photos/boxes.csv", *SETTINGS)


def test_a_folder_becomes_a_table_and_pictures(run, faces: Path) -> None:
    middles = write_faces(faces / "photos", NAMES)
    outcome = fit(run, "photos", "--out", "out")
    assert outcome.status == 0, outcome.err
    assert "landmarks.csv: 5 photos\n5 faces\n" in outcome.out
    rows = {row["source"]: row for row in read_table(faces / "out/landmarks.csv")}
    assert len(rows) == 5
    for name, middle in zip(NAMES, middles, strict=True):
        row = rows[f"photos/{name}"]
        assert row["status"] in ("ok", "not converged")
        found = np.array([[float(row[f"{axis}_{i}"]) for axis in "xy"] for i in range(12)]).mean(0)
        np.testing.assert_allclose(found, middle, atol=10)
        assert row["confidence"] == "NaN"  # the model has no calibration
    pictures = sorted(os.listdir(faces / "out"))
    expected = ["plain.png", "plain-2.png", "with space.png", 'it\'s "quoted", 顔.png', "new\nline.png"]
    assert pictures == sorted([*expected, "jaxclnf.json", "landmarks.csv", "report.html"])
    assert np.asarray(Image.open(faces / "out/plain.png")).shape == (160, 200, 3)


def test_bad_photos_are_named_and_the_others_go_on(run, faces: Path) -> None:
    (faces / "photos/broken.png").write_bytes(b"broken")
    (faces / "photos/empty.png").touch()
    outcome = fit(run, "photos", "nowhere.jpg", "*.gif", "--out", "out", "--no-pictures")
    assert outcome.status == 1
    assert len(read_table(faces / "out/landmarks.csv")) == 5
    failures = {row["source"] for row in read_table(faces / "out/failures.csv")}
    assert failures == {"photos/broken.png", "photos/empty.png", "nowhere.jpg", "*.gif"}
    for sentence in (
        "broken.png is not a picture",
        "empty.png is empty",
        "nowhere.jpg does not exist",
        "no file",
    ):
        assert sentence in outcome.err
    assert len(outcome.err.splitlines()) == 4


def test_nothing_to_do_is_a_sentence(run, faces: Path) -> None:
    (faces / "bare").mkdir()
    outcome = fit(run, "bare", "--out", "out")
    assert outcome.status == 1
    assert "bare holds no photos" in outcome.err
    assert not Path("out").exists()


def test_further_pictures_in_a_file_are_told(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    pages[0].save(tmp_path / "two.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "one.tif")
    paths = [tmp_path / "one.tif", tmp_path / "two.tif"]
    said = SaidOfPhotos()
    for photo in load_photos(paths, lambda path, rgb: np.zeros((0, 4)), None):
        assert isinstance(photo, Photo)
        said.add(photo)
    assert said.faces(0) == "no face"
    assert said.pages() == f"1 file with more than one picture, of which the first was fitted: {paths[1]}"


@pytest.mark.parametrize("flags", [[], ["--resume"]])
def test_a_mistyped_input_leaves_earlier_results_alone(run, faces: Path, flags: list[str]) -> None:
    Path("out").mkdir()
    table = Path("out/landmarks.csv")
    table.write_text("a table of an earlier run")
    Path("list.txt").write_text("gone.png\n")
    outcome = fit(run, "nowhere", "list.txt", "--out", "out", *flags)
    assert outcome.status == 1
    assert outcome.err.splitlines() == [
        f"jaxclnf: {name} does not exist; give a photo" for name in ("nowhere", "gone.png")
    ]
    assert [table] == list(Path("out").iterdir())
    assert table.read_text() == "a table of an earlier run"


def test_boxes_of_photos_that_are_not_among_the_inputs_are_told(run, faces: Path) -> None:
    boxes = faces / "photos/boxes.csv"
    boxes.write_text(boxes.read_text() + "plian.png,1,2,3,4\n")
    boxes.write_text(boxes.read_text() + "plain.png,50,40,10,9\n")
    outcome = fit(run, "photos/plain.png", "--out", "out", "--faces", "largest")
    assert outcome.status == 0, outcome.err
    assert "\n1 face\n" in outcome.out
    assert "not among the photos" in outcome.out
    assert "plian.png" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--out", "photos/plain.png"], "cannot be the output folder"),
        (["--boxes", "nowhere.csv"], "nowhere.csv does not exist"),
        (["--boxes", "photos/boxes.csv", "--detector", "hog"], "leave one of the two out"),
        (["--boxes", "photos/plain.png"], "not a table of boxes"),
        (["--model", "nowhere.npz"], "no model 'nowhere.npz'"),
        (["--model", "photos/plain.png"], "plain.png"),
        (["--set", "sigmas=1"], "'sigmas' is not a setting"),
        (["--set", "sigma"], "expected NAME=VALUE"),
        (["--set", "sigma=wide"], "expected numbers, separated by commas; got 'wide'"),
        (["--set", "sigma=nan"], "sigma = nan, expected a finite number"),
        (["--set", "sigma=1,2,3"], "or 2, for 2 stages"),
        (["--set", "windows=7.5"], "window = 7.5, expected a whole"),
        (["--set", "windows="], "expected numbers"),
        (["--parts", "inner"], "no part 'inner'; it is of the whole face alone"),
        (["--set", "iterations=1,2.5"], "iterations = 2.5, expected a whole"),
        (["--set", "kernel=round"], "one of exact, grid"),
        (["--preset", "fast"], "the preset fast is for models with convolutional experts"),
        (["--camera", "500,500"], "four numbers"),
        (["--camera", "500,500,x,1"], "four numbers"),
        (["--camera", "0,500,1,1"], "expected focal lengths fx,fy above 0 and below 1,000,000 pixels"),
        (["--camera", "500,500,nan,1"], "expected a middle cx,cy less than 1,000,000 pixels from 0,0"),
        (["--set", "windows=0"], "windows of 0 leave out every stage; expected one or more above 0"),
    ],
)
def test_misuse_is_a_sentence(run, faces: Path, arguments: list[str], sentence: str) -> None:
    outcome = run("fit", "photos", "--model", "model.npz", *SETTINGS, *arguments)
    assert outcome.status == 1
    assert sentence in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_parts_are_those_named() -> None:
    source = Provenance(source="converted from OpenFace's main_clnf_general.txt")
    model = replace(synthetic_model(np.float32), provenance=source)
    model = replace(model, parts=tuple(Part(n, (1, 2), (1, 2), model) for n in ("inner", "left_eye_28")))
    chosen = lambda preset, text: list(asked_config(Preset(preset), False, text, None, model).parts)  # noqa: E731
    assert chosen("best", None) == chosen("best", "inner") == ["inner"]
    assert chosen("best", "none") == chosen("openface", None) == []
    assert chosen("openface-wild", "inner,left_eye_28") == ["inner", "left_eye_28"]
    with pytest.raises(ValueError, match="preset best has no settings for it"):
        chosen("best", "left_eye_28")
    with pytest.raises(ValueError, match="no part 'nose'; its parts are inner, left_eye_28"):
        chosen("openface", "nose")


def test_settings_of_several_numbers_may_be_none(run, faces: Path) -> None:
    outcome = fit(run, "photos", "--out", "out", "--no-pictures", "--set", "between_views=")
    assert outcome.status == 0, outcome.err


def test_boxes_of_files_that_do_not_exist_and_of_no_face_are_told(run, faces: Path) -> None:
    with (faces / "photos/boxes.csv").open("a") as table:
        table.write("deep/gone.png,1,2,3,4\nplain.png,900,900,100,86\nplain.png,1e99,40,100,86\n")
    outcome = fit(run, "photos", "--out", "out", "--no-pictures")
    assert outcome.status == 1
    assert "deep/gone.png has a box in photos/boxes.csv but does not exist" in outcome.err
    assert "\n5 faces; 2 boxes could not be fitted, see the status\n" in outcome.out
    assert len(read_table(faces / "out/landmarks.csv")) == 7


def test_ctrl_c_leaves_whole_rows(faces: Path) -> None:
    write_faces(faces / "many", [f"{i}.png" for i in range(200)])
    arguments = [
        "fit",
        "many",
        "--boxes",
        "many/boxes.csv",
        "--model",
        "model.npz",
        *SETTINGS,
        "--out",
        "out",
    ]
    unfinished = faces / "out/landmarks.unfinished.csv"
    assert "--resume" in interrupted([*arguments, *SETTINGS], unfinished)
    rows = read_table(unfinished)
    assert all(row["log_likelihood"] for row in rows)
    for row in rows:
        assert np.asarray(Image.open(faces / "out" / Path(row["source"]).name)).shape == (160, 200, 3)
    assert not [name for name in os.listdir(faces / "out") if name.endswith(".part")]


def test_a_run_that_ended_does_what_failed_again_and_no_more(run, faces: Path) -> None:
    photo, table = faces / "photos/plain.png", faces / "out/landmarks.csv"
    image = photo.read_bytes()
    photo.write_bytes(b"broken")
    asked = "photos/plain.png", "photos/with space.png", "--out", "out", "--no-report", "--crops", "32"
    assert fit(run, *asked).status == 1
    before = table.stat().st_mtime_ns
    outcome = fit(run, *asked, "--resume")
    assert outcome.status == 1 and "1 photo, all of them done before" in outcome.out
    assert table.stat().st_mtime_ns == before
    photo.write_bytes(image)
    outcome = fit(run, *asked, "--resume")
    assert outcome.status == 0, outcome.err
    assert "2 photos, 1 of them done before\n1 face on the 1 done now" in outcome.out
    for name in ("plain.png", "crops/plain_0.png"):
        (faces / "out" / name).unlink()
        assert "1 of them done before" in fit(run, *asked, "--resume").out
        assert (faces / "out" / name).exists()
    outcome = fit(run, *asked[1:], "--resume")
    assert "2 photos, all of them done before\n1 photo in it not asked for now" in outcome.out
    assert "face" not in outcome.out
    assert [row["source"] for row in read_table(table)] == list(asked[:2])
    photo.rename(faces / "elsewhere.png")  # as of a disk that is not there now
    (faces / "out/plain.png").unlink()
    for _ in range(2):
        outcome = fit(run, *asked, "--resume")
        assert outcome.status == 1 and "plain.png does not exist" in outcome.err
        assert "2 photos, all of them done before" in outcome.out
    (faces / "elsewhere.png").rename(photo)
    assert "1 face on the 1 done now" in fit(run, *asked, "--resume").out  # for its picture
    assert [row["source"] for row in read_table(table)] == list(asked[:2])


def test_the_table_of_other_photos_is_not_replaced(run, faces: Path) -> None:
    (faces / "text.jpg").write_text("no photo")
    asked = "--out", "out", "--no-report", "--no-pictures"
    assert fit(run, "photos/plain.png", *asked).status == 0
    table, listed = faces / "out/landmarks.csv", faces / "out/jaxclnf.json"
    before = table.read_bytes(), listed.read_bytes()
    for other in ("photos/with space.png", "text.jpg"):
        for more in ((), ("--resume", "--set", "sigma=2")):
            outcome = fit(run, other, *asked, *more)
            assert outcome.status == 1
            assert "out/landmarks.csv holds 1 other photo and would be lost; choose another" in outcome.err
    (faces / "photos/plain.png").write_text("no photo")
    outcome = fit(run, "photos/plain.png", *asked)
    assert outcome.status == 1 and "landmarks.csv stays as it was" in outcome.out
    assert (table.read_bytes(), listed.read_bytes()) == before


def test_a_table_that_stays_keeps_its_files(run, faces: Path, monkeypatch) -> None:
    """A photo can no longer be used: nothing of it goes before the table is replaced."""
    asked = "--out", "out", "--no-report", "--crops", "32"
    photos = "photos/plain.png", "photos/with space.png"
    assert fit(run, *photos, *asked, "--openface-columns", "2.2").status == 0
    files = [faces / f"out/{name}" for name in ("plain.png", "crops/plain_0.png", "openface/plain.csv")]
    (faces / "photos/plain.png").write_text("no photo")

    def stopped(*_):
        raise KeyboardInterrupt

    asked += "--openface-columns", "2.2"
    assert "stays as it was" in fit(run, photos[0], *asked).out
    assert all(path.exists() for path in files)
    with monkeypatch.context() as patch:
        patch.setattr("jaxclnf.output.growing_table.Table.finish", stopped)
        fit(run, *photos, *asked)
    assert all(path.exists() for path in files)
    assert fit(run, *photos, *asked, "--resume").status == 1
    assert [row["source"] for row in read_table(faces / "out/landmarks.csv")] == [photos[1]]
    assert not any(path.exists() for path in files)


def test_a_broken_run_is_not_gone_on_with_for_other_files(run, faces: Path, monkeypatch) -> None:
    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("jaxclnf.output.growing_table.Table.finish", stopped)
        fit(run, "photos", "--out", "out", "--no-report", "--no-pictures")
    outcome = fit(run, "photos", "--out", "out", "--crops", "32", "--resume")
    assert outcome.status == 1
    assert "was begun with other settings" in outcome.err and "(crops, margin, pictures)" in outcome.err


def test_a_full_disk_is_a_sentence_and_what_was_written_stays(faces: Path) -> None:
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000));"
        "from jaxclnf.cli import main; main()"
    )
    arguments = ["fit", "photos", "--boxes", "photos/boxes.csv", "--model", "model.npz", "--no-pictures"]
    out = subprocess.run(
        [sys.executable, "-c", code, *arguments, *SETTINGS, "--out", "out"], capture_output=True, text=True
    )
    assert out.returncode == 1
    assert "File too large" in out.stderr
    assert "Traceback" not in out.stderr
    assert len(read_table(faces / "out/landmarks.unfinished.csv")) >= 1


def test_the_demo_shows_a_face(run, tmp_path: Path) -> None:
    outcome = run("demo", "--out", tmp_path)
    assert outcome.status == 0, outcome.err
    assert f"{tmp_path / 'report.html'}: the report" in outcome.out
    assert np.asarray(Image.open(tmp_path / "grace_hopper.png")).shape == (600, 512, 3)
    (row,) = read_table(tmp_path / "landmarks.csv")
    assert float(row["confidence"]) > 0.5


def test_a_stopped_demo_begins_anew_and_leaves_other_runs_alone(run, faces: Path, monkeypatch) -> None:
    def stopped(*_):
        raise KeyboardInterrupt

    demo, unfinished = ("demo", "--out", "out"), faces / "out/landmarks.unfinished.csv"
    for name in ("output.growing_table.Table.finish", "output.photo_pipeline.fit_loaded"):
        for _ in range(2):
            with monkeypatch.context() as patch:
                patch.setattr(f"jaxclnf.{name}", stopped)
                assert run(*demo).status == 130
                assert unfinished.exists()
    assert run(*demo).status == 0
    shutil.rmtree("out")
    with monkeypatch.context() as patch:
        patch.setattr("jaxclnf.output.growing_table.Table.finish", stopped)
        fit(run, "photos", "--out", "out", "--no-report", "--no-pictures")
    before = unfinished.read_bytes()
    outcome = run(*demo)
    assert outcome.status == 1 and "holds a run that broke off" in outcome.err
    assert unfinished.read_bytes() == before


def test_the_demo_looks_for_gaze_once_openface_s_models_are_installed(run, tmp_path, monkeypatch) -> None:
    asked = {}
    monkeypatch.setattr("jaxclnf.commands.demo.fit_command", lambda photos, **options: asked.update(options))
    monkeypatch.delenv("JAXCLNF_MODEL", raising=False)
    monkeypatch.setenv("OPENFACE_MODELS_DIR", str(tmp_path))
    for path in ("openface-general.npz", "openface-wild.npz"):
        file = tmp_path / "2.2.0/derived/jaxclnf/1" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert run("demo").status == 0
    assert asked["gaze"] and asked["model"] == "openface-general"


def test_without_a_model_one_sentence_says_what_to_do(run, tmp_path: Path, monkeypatch) -> None:
    from jaxclnf.models import storage

    monkeypatch.setattr(storage, "_SHIPPED", "none.npz")
    outcome = run("demo", "--out", tmp_path)
    assert outcome.status == 1
    assert "jaxclnf models install" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_gaze_needs_eyes(run, faces: Path) -> None:
    outcome = fit(run, "photos", "--out", "out", "--gaze")
    assert outcome.status == 1
    assert "gaze needs a model with both eyes" in outcome.err
    assert "jaxclnf models install" in outcome.err
    assert outcome.err.partition("--model ")[2].rstrip(")\n") in read_manifest().models


def test_openface_s_model_finds_a_face_and_its_gaze(run, tmp_path: Path, monkeypatch) -> None:
    """Their columns, in both kinds of table, and their drawing."""
    monkeypatch.chdir(tmp_path)
    model = shared("openface", "model", "main_clnf_general.txt")
    photo = shared("samples", "sample1.jpg")
    outcome = run("fit", photo, "--model", model, "--gaze", "--openface-columns", "2.2", "--out", "out")
    assert outcome.status == 0, outcome.err
    (row,) = read_table(tmp_path / "out/landmarks.csv")
    assert float(row["confidence"]) > 0.5
    assert 300 < float(row["pose_Tz"]) < 900
    look = np.array([float(row[f"gaze_0_{axis}"]) for axis in "xyz"])
    assert np.linalg.norm(look) == pytest.approx(1, abs=1e-5)
    assert look[2] < -0.7
    (theirs,) = read_table(tmp_path / "out/openface/sample1.csv")
    assert list(row)[:-3] == list(theirs)
    for name, value in theirs.items():
        assert float(value) == pytest.approx(float(row[name]), abs=0.0501), name


def test_inputs_stay_what_they_were(run, faces: Path) -> None:
    photos = faces / "photos"
    (faces / "linked").symlink_to(photos)
    (photos / "link.png").symlink_to(photos / "plain.png")
    before = {path: path.read_bytes() for path in photos.rglob("*.*")}
    for out in ("photos", "linked", "photos/deep"):
        outcome = fit(run, "photos", "--out", out, "--crops", "32")
        assert not set(outcome.out.split()) & {"-1", "0"}
        assert {path: path.read_bytes() for path in before} == before
    again = fit(run, "photos", "--out", "photos")
    assert "6 photos" in again.out  # pictures of the runs before are no photos


def test_the_boxes_are_not_written_over(run, faces: Path) -> None:
    boxes = (faces / "photos/boxes.csv").read_bytes()
    (faces / "photos/landmarks.csv").write_bytes(boxes)
    arguments = ["fit", "photos/plain.png", "--model", "model.npz", *SETTINGS, "--out", "photos"]
    outcome = run(*arguments, "--boxes", "photos/landmarks.csv")
    assert outcome.status == 1
    assert "landmarks.csv is an input and would be written over" in outcome.err
    assert (faces / "photos/landmarks.csv").read_bytes() == boxes


def test_where_every_photo_is_bad_the_tables_are_empty(run, faces: Path) -> None:
    (faces / "bad.png").write_bytes(b"broken")
    for kind in ("csv", "jsonl", "parquet"):
        outcome = fit(run, "bad.png", "--out", kind, "--format", kind)
        assert outcome.status == 1
        assert outcome.err.splitlines() == ["jaxclnf: bad.png is not a picture in a format that can be read"]
        assert f"{kind}/landmarks.{kind}: 0 photos" in outcome.out


@pytest.mark.parametrize(
    "name", [b"caf\xe9.png", b"x" * 248 + b".png", b"=cmd.png", b"a\rb.png", b"[1]*?.png"]
)
def test_any_name_a_file_can_have(run, faces: Path, name: bytes) -> None:
    source = os.fsdecode(name)
    (faces / "photos/plain.png").rename(faces / source)
    code = f"{source.encode('utf-8', 'surrogateescape').decode('utf-8', 'backslashreplace')}"
    (faces / "photos/boxes.csv").write_bytes(b'file,x,y,w,h\n"' + name + b'",50,40,100,86\n')
    for kind in ("csv", "parquet"):
        outcome = fit(run, source, "--out", "out [1]", "--format", kind)
        assert outcome.status == 0, outcome.err
    (row,) = read_table(faces / "out [1]/landmarks.csv")
    assert row["source"] == ("./=cmd.png" if name == b"=cmd.png" else code)
    assert len(list((faces / "out [1]").glob("*.png"))) == 1
