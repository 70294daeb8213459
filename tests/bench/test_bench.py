"""The benchmark: what it writes, what it counts, and that its synthetic model is one that fits settle on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import Outcome, runner, write_model
from engine import synthetic_config, synthetic_face, synthetic_model

from jaxclnf import FitConfig, load_model
from jaxclnf.bench import cases, dlib_yardstick, scenes, stages_alone, startup
from jaxclnf.bench.benchmark_results import Report, draw_speed
from jaxclnf.bench.counted_work import fit_work, roofline_ms
from jaxclnf.bench.stage_times import Pipelines, draw_pipeline
from jaxclnf.bench.stages_alone import Stages
from jaxclnf.bench.startup import ARRAY, DETECTION, FIRST, FIT, SECOND, RunProcess, comparison
from jaxclnf.bench.timed_faces import sample_faces
from jaxclnf.bench.timing import Case, Figure, time_cases
from jaxclnf.bench.whole_runs import WholeRun, run_tool
from jaxclnf.config import setting
from jaxclnf.fitting.suited_settings import check_config
from jaxclnf.media.detection import Detections, detect_faces
from jaxclnf.media.images import RGB, read_photo
from jaxclnf.media.video_sources import open_video

SMALL = synthetic_config()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Callable[..., Outcome]:
    return runner(monkeypatch, capfd)


def test_medians_are_a_face_and_cases_take_turns() -> None:
    calls = []

    def rest(name: str, seconds: float) -> Callable[[], None]:
        return lambda: (calls.append(name), time.sleep(seconds))[0]

    long, short = time_cases([Case("long", rest("l", 0.04), 2), Case("short", rest("s", 0.01), 1)], rounds=3)
    assert calls == ["l", "s"] * 4
    assert long.wall_ms >= 20 and short.wall_ms >= 10
    assert long.wall_ms > short.wall_ms and long.cpu_ms < 10


def test_work_counts_the_correlations_of_every_stage_and_start() -> None:
    model = synthetic_model(np.float32)
    one = fit_work(model, SMALL.changed(windows=(7, 0)))
    assert one.useful > 2 * 3 * 7 * 7 * 7**2 * 12
    two = fit_work(model, SMALL.changed(windows=(7, 0), start_rotations=np.zeros((2, 3), np.float32)))
    assert np.allclose(two, 2 * np.array(one))
    both = fit_work(model, SMALL)
    assert np.allclose(both, np.array(one) + fit_work(model, SMALL.changed(windows=(0, 5))))


def test_the_roofline_is_the_slower_of_operations_and_traffic() -> None:
    from jaxclnf.bench.counted_work import Ceilings, Work

    assert roofline_ms(Work(1e6, 2e6, 1e3), Ceilings(1e9, 1e9)) == pytest.approx(2)
    assert roofline_ms(Work(1e6, 2e6, 5e6), Ceilings(1e9, 1e9)) == pytest.approx(5)


def test_growth_compares_1024_faces_with_16_times_64() -> None:
    figures = [Figure("batch of 64", "a", 64, 2.0, 4.0, 1.0), Figure("batch of 1024", "a", 1024, 2.2, 4.2, 1)]
    figures.append(Figure("64 in one program", "a", 64, 3.0, 5.0, 1.0))
    assert Report("", "", figures).growth() == {"a": {"wall": pytest.approx(1.1), "cpu": pytest.approx(1.05)}}
    assert Report("", "", figures[:1]).growth() == {}


def test_stages_run_alone() -> None:
    model = synthetic_model(np.float32)
    image, params = synthetic_face(0, np.float32)
    box = np.array([[*(np.asarray(params.translation) - 50), 100, 86]], np.float32)
    found = time_cases(cases.stage_cases(model, image[None], box, n=2, window=7), rounds=1)
    assert [f.name for f in found] == [
        "response maps, as fits get them",
        "sampling",
        "neuron responses",
        "Sigma smoothing",
        "one mean shift",
        "one solve",
    ]
    assert all(f.best_ms > 0 for f in found)


def test_sample_faces_lie_in_their_canvases() -> None:
    faces = sample_faces(3)
    assert faces.images.shape == (3, 512, 512)
    assert (faces.boxes[:, :2] >= 0).all() and (faces.boxes[:, :2] + faces.boxes[:, 2:] < 512).all()


def test_large_faces_are_reduced_as_the_models_settings_say() -> None:
    model = load_model()
    model = replace(model, settings=FitConfig(resolution=0.5))
    mean_size = np.ptp(np.asarray(model.pdm.mean)[:, :2], axis=0)
    pixels = (sample_faces(2, model=model).boxes[:, 2:] / mean_size).mean(axis=1)
    np.testing.assert_allclose(pixels, 0.5, atol=0.01)
    assert ((sample_faces(2).boxes[:, 2:] / mean_size).mean(axis=1) > 0.6).all()


def test_a_missing_yardstick_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dlib_yardstick, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install face_recognition_models"):
        dlib_yardstick.dlib_case(np.zeros((1, 8, 8), np.uint8), np.zeros((1, 4)))


def test_the_command_writes_figures_and_a_plot(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxclnf.commands.bench.QUICK", (1, 2))
    monkeypatch.setattr(cases, "CONFIGS", dict.fromkeys(cases.CONFIGS, SMALL))
    monkeypatch.setattr(cases, "SHIPPED", {"fast": cases.SHIPPED["fast"]})
    timed = []
    monkeypatch.setattr("jaxclnf.bench.timing.time_cases", lambda *a: timed.append(a[1]) or time_cases(*a))
    model, once = write_model(tmp_path), ("--quick", "--rounds", 1)
    done = run("bench", "--model", model, *once, "--out", tmp_path / "bench")
    assert done.status == 0, done.err
    assert "one face" in done.out and "batch of 2" in done.out
    told = json.loads((tmp_path / "bench" / "bench.json").read_text())
    assert {f["name"] for f in told["milliseconds_a_face"]} >= {"one face", "batch of 2"}
    assert told["machine"]["cores"] >= 1
    assert (tmp_path / "bench" / "speed.png").stat().st_size > 10_000
    assert timed == [1]


def test_nothing_foreign_is_written_over_and_no_address_is_a_folder(run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, part in (("bench.json", "memory"), ("speed.png", "fits"), ("pipeline.png", "pipeline")):
        (tmp_path / part).mkdir()
        (tmp_path / part / name).write_text("mine")
        refused = run("bench", "--part", part, "--out", part)
        assert refused.status == 1 and f"{name} is from no earlier run and would be lost" in refused.err
        assert (tmp_path / part / name).read_text() == "mine"
    refused = run("bench", "--out", "s3://bucket/run")
    assert refused.status == 1 and "s3://bucket/run" in refused.err and refused.err.count("\n") == 1
    assert not (tmp_path / "s3:").exists()


def test_fresh_processes_are_told_with_and_without_the_cache(tmp_path: Path) -> None:
    fresh = RunProcess(9.0, 12.5, {"peak_bytes": 2_000_000, "settings": cases.OPENFACE})
    report = Report("", "", startup={"fit": {"cold": fresh}}, memory=fresh)
    (table,) = report.tables()
    assert list(table.columns[3].cells) == ["2", "2"]
    assert json.loads(report.as_json())["first_landmark"]["fit"]["cold"]["cpu_s"] == 12.5
    draw_speed(tmp_path / "empty.png", Report("", "", [Figure("one face", "a", 1, 1, 1, 1)]))


def test_the_second_fit_is_told_in_multiples_of_the_yardstick() -> None:
    starts = {
        ARRAY: {"": RunProcess(0.5, 0.6, {})},
        DETECTION: {"": RunProcess(0.4, 0.4, {"seconds": 0.2})},
        FIT: {FIRST: RunProcess(6, 8, {}), SECOND: RunProcess(1.1, 1.5, {})},
    }
    assert comparison(starts).endswith("takes 1.10 s: 0.20 s of detection and 1.80 x the array of JAX")
    assert comparison({}) == ""


def test_photos_and_films_of_the_bench_hold_the_faces_they_promise(tmp_path: Path) -> None:
    paths = scenes.write_photos(tmp_path, 3)
    assert [len(detect_faces(read_photo(path)).boxes) for path in paths] == [1, 1, 1]
    film = scenes.write_film(tmp_path / "film.mp4", 2, n_faces=3)
    frames = list(open_video(str(film)).frames)
    assert [len(detect_faces(frame.rgb).boxes) for frame in frames] == [3, 3]


def test_stages_add_up_to_what_a_photo_costs(tmp_path: Path) -> None:
    stages = Stages("photo", n=4)
    for name in ("read", "detect", "read"):
        with stages.timed(name):
            sum(range(200_000))
    assert list(stages.cpu_ms) == ["read", "detect"] and stages.cpu_ms["read"] > stages.cpu_ms["detect"] > 0
    assert stages.each()["read"] == stages.cpu_ms["read"] / 4
    run = WholeRun("plain", "photo", 100, 2.0, 3.0, [float(min(i, 10)) for i in range(40)])
    assert run.rate == 50 and run.growth_mb() == 0
    assert WholeRun("plain", "frame", 100, 2.0, 3.0, [], start_s=1.0).rate == 100
    growing = WholeRun("plain", "photo", 100, 2.0, 3.0, [float(i) for i in range(40)])
    assert growing.growth_mb() == 20
    report = Report("", "", pipelines=Pipelines([stages], [run, growing]))
    assert [table.row_count for table in report.tables()] == [2, 2]
    assert json.loads(report.as_json())["pipelines"]["runs"][0]["per_second"] == 50
    draw_pipeline(tmp_path / "pipeline.png", Pipelines([stages], [run, growing]))
    assert (tmp_path / "pipeline.png").stat().st_size > 10_000


def test_detection_of_frames_is_timed_in_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clock is the thread's own: what others computed beside it would be counted as fits."""
    threads, seen = cv2.getNumThreads(), []

    def detect(rgb: RGB) -> Detections:
        seen.append(cv2.getNumThreads())
        return Detections(np.zeros((0, 4)), np.zeros(0))

    monkeypatch.setattr(stages_alone, "named_detector", lambda: detect)
    film = scenes.write_film(tmp_path / "film.mp4", 2)
    cv2.setNumThreads(2)
    try:
        stages = stages_alone.frames_alone(load_model(), film, tmp_path)
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(threads)
    assert stages.n == 2 and stages.cpu_ms["detect"] > 0 and set(seen) == {1}


def test_a_run_that_fails_is_told_by_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a run of the command line failed: No such command 'nothing'\.$"):
        run_tool("", "photo", 1, ["nothing"])
    broken = [sys.executable, "-c", f"def f(n): f(n - 1) if n else {{}}['{'long ' * 80}']\nf(20)"]
    with pytest.raises(ValueError, match=r"a fresh process failed: KeyError: '(long ){80}'$"):
        startup._fresh(broken, tmp_path)
    with pytest.raises(ValueError, match="it said nothing$"):
        startup._fresh([sys.executable, "-c", "exit(1)"], tmp_path)


def test_the_model_that_ships_can_be_fitted_with_every_setting_that_is_timed() -> None:
    model = load_model()
    for config in cases.CONFIGS.values():
        check_config(model, config)


def test_openfaces_settings_are_timed_as_they_are() -> None:
    assert setting(cases.CONFIGS[cases.OPENFACE], "windows")[:3] == (11, 9, 7)
    assert len(cases.CONFIGS[cases.WILD].start_rotations) == 5
