"""Running a sweep: settings by faces through one compiled program, every outcome stored at once.

Settings that compile alike are tried together, a few at a time on a few faces at a time, which bounds the
memory. The order of everything follows from the specification alone, so a sweep that was stopped goes on
where it was and ends with the same results.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxclnf.batch.devices import fit_settings_on_cores
from jaxclnf.batch.faces import canvas_side, reduction_by, surroundings
from jaxclnf.config import FitConfig
from jaxclnf.data.datasets import Faces
from jaxclnf.data.evaluate import not_learned, point_errors, start_boxes
from jaxclnf.fitting.fit import fit_batch
from jaxclnf.sweeps.spec import Setting, Spec, changed_values, configure, static_part
from jaxclnf.training.recipe import Recipe
from jaxclnf.types import Model, Status

SETTINGS_AT_ONCE = 8
FACES_AT_ONCE = 25
LOST = 100.0
"""Percent; the error of a face that was not fitted, where settings are ranked."""


class Canvases(NamedTuple):
    """Faces on canvases of one size, boxes and true landmarks in their pixels."""

    canvases: np.ndarray  # (n, side, side) uint8
    boxes: np.ndarray  # (n, 4)
    points: np.ndarray  # (n, n_points, 2)
    eye_distances: np.ndarray  # (n,)


class TriedSetting(NamedTuple):
    """How a setting did on the faces from ``first`` up to ``last``."""

    setting: Setting
    first: int
    last: int
    errors: list[float]  # percent of the eye distance, `LOST` where there was no fit
    log_likelihood: float  # mean
    iterations: float  # of all stages, mean


class Results:
    """The file of a sweep's outcomes, JSON in lines; the first line says which sweep it is."""

    def __init__(self, path: Path, description: dict) -> None:
        self.path = path
        self.outcomes: dict[str, TriedSetting] = {}
        self.milliseconds: dict[str, float] = {}
        lines = _whole_lines(path)
        if lines and lines[0] != json.loads(json.dumps(description)):
            raise ValueError(f"{path} holds another sweep; choose another folder or delete it")
        if not lines:
            self._append(description)
        for line in lines[1:]:
            self._note(line)

    def _note(self, line: dict) -> None:
        if "milliseconds" in line:
            self.milliseconds[_key(line["static"])] = line["milliseconds"]
        else:
            outcome = TriedSetting(**line)
            self.outcomes[_key(outcome.setting, outcome.first, outcome.last)] = outcome

    def add(self, outcome: TriedSetting) -> None:
        self._append(outcome._asdict())
        self._note(outcome._asdict())

    def add_time(self, static: Setting, milliseconds: float) -> None:
        self._append({"static": static, "milliseconds": milliseconds})
        self.milliseconds[_key(static)] = milliseconds

    def has(self, setting: Setting, first: int, last: int) -> bool:
        return _key(setting, first, last) in self.outcomes

    def time_of(self, setting: Setting) -> float | None:
        """Milliseconds for each face under settings of the same compiled program, timed alone."""
        return self.milliseconds.get(_key(static_part(setting)))

    def whole(self, setting: Setting) -> TriedSetting | None:
        """A setting's outcomes joined into one, up to the first faces that are missing."""
        parts = sorted(
            (o for o in self.outcomes.values() if o.setting == setting), key=lambda o: (o.first, o.last)
        )
        joined: list[TriedSetting] = []
        for part in parts:
            if part.first == (joined[-1].last if joined else 0):
                joined.append(part)
        if not joined:
            return None
        sizes = [o.last - o.first for o in joined]
        mean = {n: float(np.average([getattr(o, n) for o in joined], weights=sizes)) for n in _MEANS}
        return TriedSetting(setting, 0, joined[-1].last, [e for o in joined for e in o.errors], **mean)

    def _append(self, line: dict) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


_MEANS = ("log_likelihood", "iterations")


def _key(*parts) -> str:
    return json.dumps(parts, sort_keys=True)


def _whole_lines(path: Path) -> list[dict]:
    """The file's lines, without a last one that was cut short when the program was killed."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    try:
        return [json.loads(line) for line in whole.splitlines()]
    except json.JSONDecodeError:
        raise ValueError(f"{path} is no file of a sweep's results; choose another folder") from None


def draw_photos(faces: Faces, spec: Spec, model: Model | None = None) -> Canvases:
    """The faces of a sweep, cut out of their photos.

    Those held back are those that the model did not learn from, as it says itself, or if it says nothing
    those that `jaxclnf train` holds back by default. Raises ValueError for a markup without eyes.
    """
    if faces.eye_distances is None:
        raise ValueError(f"errors are in eye distances, unknown for a markup of {faces.n_points} landmarks")
    if spec.held_back is not None:
        if model is not None and model.learned:
            faces = not_learned(faces, model)
        else:
            _, faces = faces.split(spec.held_back, Recipe().seed)
    order = np.random.default_rng(spec.seed).permutation(len(faces))
    if spec.faces is not None and spec.faces > len(faces):
        raise ValueError(f"faces = {spec.faces}, but there are {len(faces)} of them")
    faces = faces.take(order[: spec.faces])
    boxes, images = start_boxes(faces), faces.images()
    reduced = _reduction(spec, model)
    by = [reduced(box) for box in boxes]
    side = max(canvas_side(images[i], boxes[i], by[i]) for i in range(len(faces)))
    canvases = [surroundings(i, images[i], boxes[i], side, by[i]).canvas for i in range(len(faces))]
    assert faces.eye_distances is not None
    on_each = list(zip(canvases, boxes, faces.points, faces.eye_distances, strict=True))
    return Canvases(
        canvases=np.stack([canvas.pixels for canvas in canvases]),
        boxes=np.stack([canvas.box(box) for canvas, box, _, _ in on_each]).astype(np.float32),
        points=np.stack([canvas.of_photo(points) for canvas, _, points, _ in on_each]).astype(np.float32),
        eye_distances=np.array([canvas.scale * distance for canvas, _, _, distance in on_each], np.float32),
    )


def _reduction(spec: Spec, model: Model | None) -> Callable[[np.ndarray], float]:
    """Function from a face's box to its reduction before it is fitted: as the settings that stay say."""
    if model is None:
        return lambda box: 1.0
    if any("resolution" in setting for setting in spec.settings):
        raise ValueError("resolution cannot be varied: faces are reduced once, before all fits of a sweep")
    return reduction_by(model, spec.base_config(model))


class SweepTrial(NamedTuple):
    """Settings that compile alike, to be tried on the faces from ``first`` up to ``last``."""

    settings: list[Setting]
    width: int  # settings that the compiled program takes; at least these
    first: int
    last: int

    @property
    def name(self) -> str:
        """How the trial is called when it is spoken of."""
        return f"{len(self.settings)} settings on faces {self.first} to {self.last}"


class Timing(NamedTuple):
    """A setting to be timed alone, for all that compile as it does."""

    setting: Setting

    @property
    def name(self) -> str:
        """How the timing is called when it is spoken of."""
        return f"the time of {self.setting}"


class TrialSetup(NamedTuple):
    """What settings are tried on."""

    model: Model
    photos: Canvases
    base: FitConfig  # what settings change


SweepTask = SweepTrial | Timing
TaskResult = list[TriedSetting] | float | None
"""Outcomes of a trial, milliseconds a face; None of a task that was given up."""

Attempt = Callable[[Iterator[SweepTask]], Iterator[tuple[SweepTask, TaskResult]]]
"""Does tasks, in any order."""


def attempt(bench: TrialSetup, task: SweepTask) -> TaskResult:
    """Do one task."""
    if isinstance(task, Timing):
        return _milliseconds(bench.model, bench.photos, configure(bench.base, task.setting))
    return _outcomes(bench, task)


def run_sweep(
    spec: Spec,
    model: Model,
    photos: Canvases,
    results: Results,
    advance: Callable[[float], None] = lambda share: None,
    elsewhere: Attempt | None = None,
) -> list[TriedSetting]:
    """Try the settings of a sweep and return the outcomes of those tried on all faces, best first.

    ``advance`` is told the share of all work after each step of it. Tasks are done one after the other, or
    ``elsewhere``; there settings whose tasks are given up are out of a halving search.
    """
    n_faces = len(photos.boxes)
    rungs = spec.rungs(n_faces)
    alive = list(spec.settings)
    total = sum(_amounts(len(alive), rungs, spec.factor))
    bench = TrialSetup(model, photos, spec.base_config(model))
    do = elsewhere or (lambda tasks: ((task, attempt(bench, task)) for task in tasks))
    done = 0
    for first, last in zip([0, *rungs], rungs, strict=False):
        trials = list(_trials(spec, alive, first, last, FACES_AT_ONCE if elsewhere else n_faces))
        missing = [trial for trial in trials if not _is_known(results, trial)]
        done += sum(map(_amount, trials)) - sum(map(_amount, missing))
        for task, found in do(chain(missing, _untimed(results, trials))):
            _note(results, task, found)
            done += _amount(task)
            advance(done / total)
        alive = ranked(results, alive, last)
        if last < n_faces:
            alive = alive[: -(-len(alive) // spec.factor)]
    advance(1.0)
    return [outcome for s in alive if (outcome := results.whole(s))]


def _is_known(results: Results, trial: SweepTrial) -> bool:
    return all(results.has(setting, trial.first, trial.last) for setting in trial.settings)


def _amount(task: SweepTask) -> int:
    """Fits of a task, without those that a timing repeats."""
    return len(task.settings) * (task.last - task.first) if isinstance(task, SweepTrial) else 0


def _untimed(results: Results, trials: Sequence[SweepTrial]) -> Iterator[Timing]:
    """One setting of each compiled program that was never timed."""
    firsts = {_key(static_part(t.settings[0])): t.settings[0] for t in reversed(trials)}
    return (Timing(setting) for setting in firsts.values() if results.time_of(setting) is None)


def _note(results: Results, task: SweepTask, found: TaskResult) -> None:
    """Store what was found at once."""
    if isinstance(task, Timing) and isinstance(found, float):
        results.add_time(static_part(task.setting), found)
    elif isinstance(task, SweepTrial) and isinstance(found, list):
        for outcome in found:
            if not results.has(outcome.setting, task.first, task.last):
                results.add(outcome)


def _amounts(n_settings: int, rungs: Sequence[int], factor: int) -> list[int]:
    """Fits of every rung."""
    amounts = []
    for first, last in zip([0, *rungs], rungs, strict=False):
        amounts.append(n_settings * (last - first))
        n_settings = -(-n_settings // factor)
    return amounts


def ranked(results: Results, settings: Sequence[Setting], last: int) -> list[Setting]:
    """The settings that were tried on the faces up to ``last`` by mean error; equal ones keep their order."""
    outcomes = [(setting, results.whole(setting)) for setting in settings]
    tried = [(setting, outcome) for setting, outcome in outcomes if outcome and outcome.last >= last]
    return [setting for setting, _ in sorted(tried, key=lambda pair: float(np.mean(pair[1].errors)))]


def grouped(settings: Sequence[Setting]) -> list[list[Setting]]:
    """Settings that compile alike."""
    groups: dict[str, list[Setting]] = {}
    for setting in settings:
        groups.setdefault(_key(static_part(setting)), []).append(setting)
    return list(groups.values())


def _trials(
    spec: Spec, settings: Sequence[Setting], first: int, last: int, faces: int
) -> Iterator[SweepTrial]:
    """The trials of settings on the faces from first to last, of at most so many faces each."""
    for group in grouped(settings):
        # By the whole specification, so that a search that has dropped some compiles nothing anew.
        alike = sum(static_part(setting) == static_part(group[0]) for setting in spec.settings)
        width = min(SETTINGS_AT_ONCE, alike)
        for start in range(0, len(group), width):
            for begin in range(first, last, faces):
                yield SweepTrial(group[start : start + width], width, begin, min(begin + faces, last))


def _outcomes(bench: TrialSetup, trial: SweepTrial) -> list[TriedSetting]:
    """Outcomes of a trial's settings, by a program for as many as its width."""
    model, photos, base = bench
    chunk, width, first, last = trial
    filled = chunk + chunk[-1:] * (width - len(chunk))
    configs = [configure(base, setting) for setting in filled]
    changes = [changed_values(c, s) for c, s in zip(configs, filled, strict=True)]
    # Settings that vary static fields only still need something that says how many there are.
    changes = [change or {"tolerance": np.asarray(configs[0].tolerance)} for change in changes]
    stacked = {name: np.stack([change[name] for change in changes]) for name in changes[0]}
    starts = range(first, last, FACES_AT_ONCE)
    rows = [np.minimum(np.arange(start, start + FACES_AT_ONCE), last - 1) for start in starts]
    batches = [(photos.canvases[take], photos.boxes[take]) for take in rows]
    fits = fit_settings_on_cores(model, batches, configs[0], stacked)
    kept = zip(*((f.landmarks, f.status, f.log_likelihood, f.iterations) for f in fits), strict=True)
    landmarks, status, likelihood, iterations = (
        np.concatenate(parts, axis=1)[: len(chunk), : last - first] for parts in kept
    )
    points, eyes = photos.points[first:last], photos.eye_distances[first:last]
    outcomes = []
    for k, setting in enumerate(chunk):
        fitted = np.isin(status[k], (Status.OK, Status.NOT_CONVERGED))
        errors = point_errors(landmarks[k], points, eyes, fitted).mean(axis=1)
        errors = np.where(np.isfinite(errors), np.minimum(errors, LOST), LOST)
        sure = likelihood[k][fitted].mean(dtype=np.float64) if fitted.any() else -LOST
        steps = iterations[k].sum((-2, -1)).mean()
        rounded = [round(float(e), 4) for e in errors]
        outcomes.append(
            TriedSetting(setting, first, last, rounded, round(float(sure), 5), round(float(steps), 3))
        )
    return outcomes


def _milliseconds(model: Model, photos: Canvases, config: FitConfig) -> float:
    """Time a face of these settings alone, the least of three runs."""
    n = min(FACES_AT_ONCE, len(photos.boxes))
    times = []
    for _ in range(4):
        begun = time.perf_counter()
        jax.block_until_ready(fit_batch(model, photos.canvases[:n], photos.boxes[:n], config))
        times.append(time.perf_counter() - begun)
    return round(1e3 * min(times[1:]) / n, 3)


def describe(spec: Spec, model: Model, photos: Canvases) -> dict:
    """What tells one sweep from another: all but where its files lie."""
    plain = {k: v for k, v in asdict(spec).items() if k not in ("datasets", "model")}
    if spec.base == "model":
        plain["base"] = spec.base_config(model).described()
    faces = hashlib.sha256(photos.points.tobytes()).hexdigest()[:16]
    return plain | {"model": model.provenance.name, "faces_drawn": len(photos.boxes), "faces": faces}
