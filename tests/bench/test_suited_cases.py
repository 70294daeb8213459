"""What the benchmark times suits the model: its windows, and its networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine import synthetic_face, synthetic_model

from jaxclnf import load_model
from jaxclnf.bench import cases, counted_work, startup
from jaxclnf.bench.benchmark_results import Report
from jaxclnf.bench.counted_work import patch_experts
from jaxclnf.bench.timed_faces import sample_faces
from jaxclnf.bench.timing import time_cases
from jaxclnf.commands import bench
from jaxclnf.commands.bench import BenchPart


@pytest.mark.parametrize("windows", [(5, 7), ()])
def test_stages_are_timed_in_a_window_that_the_experts_know(windows: tuple[int, ...]) -> None:
    model = synthetic_model(np.float32)
    coarse = patch_experts(model)
    known = {window: coarse.sigma[window] for window in windows}
    model = replace(model, experts=(replace(coarse, sigma=known), *model.experts[1:]))
    image, params = synthetic_face(0, np.float32)
    box = np.array([[*(np.asarray(params.translation) - 50), 100, 86]], np.float32)
    stages = cases.stage_cases(model, image[None], box, n=2)
    assert {case.group for case in stages} == {f"stages alone, window {max(windows, default=11)}, batch of 2"}
    assert ("Sigma smoothing" in [case.name for case in stages]) == bool(windows)
    if not windows:
        assert all(figure.best_ms > 0 for figure in time_cases(stages, rounds=1))


def test_settings_for_patch_experts_are_timed_with_those_alone() -> None:
    shipped, patches = load_model(), synthetic_model(np.float32)
    assert cases.timed_configs(shipped) == {cases.OWN: shipped.settings}
    assert list(cases.timed_configs(patches)) == [cases.OPENFACE, cases.WILD, cases.OURS]


def test_rows_of_a_model_with_networks_are_named_what_they_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counted_work, "ceilings", lambda: None)
    model, faces, report = load_model(), sample_faces(2), Report("", "")
    timed = bench._fits(report, model, faces, quick=False)
    groups = [case.group for case in timed if case.group != "dlib"]
    assert list(dict.fromkeys(groups)) == [cases.OWN, cases.SHIPPED["fast"]]
    assert max(case.faces for case in timed if case.group == cases.OWN) == bench.BATCHES[-1]
    bench._describe_machine(report, model, [BenchPart.machine])
    assert list(report.work) == [cases.OWN]
    report.notes.clear()
    bench._note_left_out(report, model, [BenchPart.stages])
    assert not report.notes
    bench._note_left_out(report, model, [BenchPart.fits])
    assert all(name in report.notes[0] for name in (*cases.CONFIGS, cases.OWN))


def test_every_look_of_a_network_is_work() -> None:
    model = load_model()
    once, whole = model.settings.stages[0], model.settings
    (one, three) = (
        counted_work.fit_work(model, replace(whole, stages=(replace(once, looks=n),))) for n in (1, 3)
    )
    np.testing.assert_allclose(three, 3 * np.array(one))


def test_fresh_processes_fit_with_settings_that_suit_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def fresh(arguments: list[str], cache: object) -> startup.RunProcess:
        asked.append(arguments)
        return startup.RunProcess(1.0, 1.0, {"settings": arguments[-2]})

    monkeypatch.setattr(startup, "_fresh", fresh)
    model, faces = load_model(), sample_faces(2)
    assert f"jaxclnf.fit, {cases.OWN}" in startup.first_landmarks(model, faces)
    memory = startup.peak_memory(model, faces)
    assert asked[-1][-2] == cases.OWN
    (table,) = Report("", "", memory=memory).tables()
    assert list(table.columns[0].cells) == [f"a batch of 256, {cases.OWN}"]
