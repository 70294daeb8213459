"""Tasks of a sweep: settings that share a program, tried on some faces or timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxclnf.batch.devices import fit_settings_on_cores
from jaxclnf.config import FitConfig
from jaxclnf.data.evaluate import point_errors
from jaxclnf.fitting.fit import fit_batch
from jaxclnf.sweeps.results import TriedSetting, key_of
from jaxclnf.sweeps.spec import Setting, Spec, changed_values, configure, static_part
from jaxclnf.sweeps.sweep_faces import Canvases
from jaxclnf.types import USABLE, Model

SETTINGS_AT_ONCE = 8
FACES_AT_ONCE = 25
LOST = 100.0
"""Error in percent that counts for a face that was not fitted."""


class SweepTrial(NamedTuple):
    """Settings that share a program, to be tried on the faces from ``first`` up to ``last``."""

    settings: list[Setting]
    width: int  # number of settings that the compiled program takes
    first: int
    last: int

    @property
    def name(self) -> str:
        """Name of the trial in messages."""
        return f"{len(self.settings)} settings on faces {self.first} to {self.last}"


class Timing(NamedTuple):
    """A setting to be timed alone, for all that share its program."""

    setting: Setting

    @property
    def name(self) -> str:
        """Name of the timing in messages."""
        return f"the time of {self.setting}"


class TrialSetup(NamedTuple):
    """The model, faces and base settings of all tasks."""

    model: Model
    photos: Canvases
    base: FitConfig  # what settings change


SweepTask = SweepTrial | Timing
TaskResult = list[TriedSetting] | float | None
"""Outcomes of a trial, or a timing's milliseconds per face; None for a task that was given up."""
Attempt = Callable[[Iterator[SweepTask]], Iterator[tuple[SweepTask, TaskResult]]]
"""Function that does tasks, in any order."""


def attempt(bench: TrialSetup, task: SweepTask) -> TaskResult:
    """Do one task."""
    if isinstance(task, Timing):
        return _milliseconds(bench.model, bench.photos, configure(bench.base, task.setting))
    return _outcomes(bench, task)


def grouped(settings: Sequence[Setting]) -> list[list[Setting]]:
    """Group settings that share a compiled program."""
    groups: dict[str, list[Setting]] = {}
    for setting in settings:
        groups.setdefault(key_of(static_part(setting)), []).append(setting)
    return list(groups.values())


def trials_of(
    spec: Spec, settings: Sequence[Setting], first: int, last: int, faces: int
) -> Iterator[SweepTrial]:
    """Yield the trials of settings on the faces from first to last, at most ``faces`` at a time."""
    for group in grouped(settings):
        # Counted in the whole specification, so that a search that drops settings does not recompile.
        alike = sum(static_part(setting) == static_part(group[0]) for setting in spec.settings)
        width = min(SETTINGS_AT_ONCE, alike)
        for start in range(0, len(group), width):
            for begin in range(first, last, faces):
                yield SweepTrial(group[start : start + width], width, begin, min(begin + faces, last))


def _outcomes(bench: TrialSetup, trial: SweepTrial) -> list[TriedSetting]:
    """Try a trial's settings."""
    photos, (chunk, _, first, last) = bench.photos, trial
    points, eyes = photos.points[first:last], photos.eye_distances[first:last]
    outcomes = []
    for setting, *fits in zip(chunk, *_fitted(bench, trial), strict=True):
        landmarks, status, likelihood, iterations = fits
        found = np.isin(status, USABLE)
        errors = point_errors(landmarks, points, eyes, found).mean(axis=1)
        errors = np.where(np.isfinite(errors), np.minimum(errors, LOST), LOST)
        rounded = [round(float(e), 4) for e in errors]
        sure = float(likelihood[found].mean(dtype=np.float64)) if found.any() else -LOST
        steps = float(iterations.sum((-2, -1)).mean())
        outcomes.append(TriedSetting(setting, first, last, rounded, round(sure, 5), round(steps, 3)))
    return outcomes


def _fitted(bench: TrialSetup, trial: SweepTrial) -> list[np.ndarray]:
    """Fit a trial's faces under its settings, by a program for as many settings as its width.

    Gives landmarks, status, log-likelihood and iterations; leading axes: settings, faces.
    """
    model, photos, base = bench
    chunk, width, first, last = trial
    filled = chunk + chunk[-1:] * (width - len(chunk))
    configs = [configure(base, setting) for setting in filled]
    changes = [changed_values(c, s) for c, s in zip(configs, filled, strict=True)]
    # Settings that vary only static fields still need an array whose length is their number.
    changes = [change or {"tolerance": np.asarray(configs[0].tolerance)} for change in changes]
    stacked = {name: np.stack([change[name] for change in changes]) for name in changes[0]}
    starts = range(first, last, FACES_AT_ONCE)
    rows = [np.minimum(np.arange(start, start + FACES_AT_ONCE), last - 1) for start in starts]
    batches = [(photos.canvases[take], photos.boxes[take]) for take in rows]
    fits = fit_settings_on_cores(model, batches, configs[0], stacked)
    kept = zip(*((f.landmarks, f.status, f.log_likelihood, f.iterations) for f in fits), strict=True)
    return [np.concatenate(parts, axis=1)[: len(chunk), : last - first] for parts in kept]


def _milliseconds(model: Model, photos: Canvases, config: FitConfig) -> float:
    """Time a face under these settings alone: the shortest of three runs."""
    n = min(FACES_AT_ONCE, len(photos.boxes))
    times = []
    for _ in range(4):
        begun = time.perf_counter()
        jax.block_until_ready(fit_batch(model, photos.canvases[:n], photos.boxes[:n], config))
        times.append(time.perf_counter() - begun)
    return round(1e3 * min(times[1:]) / n, 3)
