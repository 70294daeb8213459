"""What the benchmark times suits the model: its windows, and its networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine import synthetic_face, synthetic_model

from jaxclnf.bench import cases
from jaxclnf.bench.counted_work import patch_experts
from jaxclnf.bench.timing import time_cases


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
