"""Running a sweep: settings tried on faces in a compiled program, every outcome stored at once.

Settings that share a program are tried together, a few at a time on a few faces at a time, which bounds the
memory. The order of tasks depends on the specification alone, so a stopped sweep goes on where it was and
ends with the same results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain

import numpy as np

from jaxclnf.models.fingerprint import fingerprint, hash_of
from jaxclnf.sweeps.results import Results, TriedSetting, key_of
from jaxclnf.sweeps.spec import Setting, Spec, static_part
from jaxclnf.sweeps.sweep_faces import Canvases
from jaxclnf.sweeps.tasks import (
    FACES_AT_ONCE,
    Attempt,
    SweepTask,
    SweepTrial,
    TaskResult,
    Timing,
    TrialSetup,
    attempt,
    trials_of,
)
from jaxclnf.types import Model


def run_sweep(
    spec: Spec,
    model: Model,
    photos: Canvases,
    results: Results,
    advance: Callable[[float], None] = lambda share: None,
    elsewhere: Attempt | None = None,
) -> list[TriedSetting]:
    """Try the settings of a sweep and return the outcomes of those tried on all faces, best first.

    ``advance`` is told the share of the work that is done. Tasks are done here, one after the other, or by
    ``elsewhere``; settings whose tasks are given up there leave a halving search. Raises ValueError if no
    setting was tried on all faces.
    """
    n_faces = len(photos.boxes)
    rungs = spec.rungs(n_faces)
    alive = list(spec.settings)
    total = sum(_amounts(len(alive), rungs, spec.factor))
    bench = TrialSetup(model, photos, spec.base_config(model))
    do = elsewhere or (lambda tasks: ((task, attempt(bench, task)) for task in tasks))
    done = 0
    for first, last in zip([0, *rungs], rungs, strict=False):
        trials = list(trials_of(spec, alive, first, last, FACES_AT_ONCE if elsewhere else n_faces))
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
    if not alive:
        raise ValueError("no setting was tried on all faces: every one had a task that was given up")
    return [outcome for s in alive if (outcome := results.whole(s))]


def _is_known(results: Results, trial: SweepTrial) -> bool:
    return all(results.covers(setting, trial.first, trial.last) for setting in trial.settings)


def _amount(task: SweepTask) -> int:
    """Count the fits of a task; a timing counts as none."""
    return len(task.settings) * (task.last - task.first) if isinstance(task, SweepTrial) else 0


def _untimed(results: Results, trials: Sequence[SweepTrial]) -> Iterator[Timing]:
    """Yield timings of one setting for each compiled program that was never timed."""
    firsts = {key_of(static_part(t.settings[0])): t.settings[0] for t in reversed(trials)}
    return (Timing(setting) for setting in firsts.values() if results.time_of(setting) is None)


def _note(results: Results, task: SweepTask, found: TaskResult) -> None:
    """Store a task's result."""
    if isinstance(task, Timing) and isinstance(found, float):
        results.add_time(static_part(task.setting), found)
    elif isinstance(task, SweepTrial) and isinstance(found, list):
        for outcome in found:
            if not results.covers(outcome.setting, task.first, task.last):
                results.add(outcome)


def _amounts(n_settings: int, rungs: Sequence[int], factor: int) -> list[int]:
    """Count the fits of every rung."""
    amounts = []
    for first, last in zip([0, *rungs], rungs, strict=False):
        amounts.append(n_settings * (last - first))
        n_settings = -(-n_settings // factor)
    return amounts


def ranked(results: Results, settings: Sequence[Setting], last: int) -> list[Setting]:
    """Rank the settings tried on the faces up to ``last`` by their mean error there; ties keep their order.

    Errors of further faces, which an earlier run may have left, do not count.
    """
    outcomes = [(setting, results.whole(setting)) for setting in settings]
    tried = [(setting, outcome) for setting, outcome in outcomes if outcome and outcome.last >= last]
    return [setting for setting, _ in sorted(tried, key=lambda pair: float(np.mean(pair[1].errors[:last])))]


def describe(spec: Spec, model: Model, photos: Canvases) -> dict:
    """Describe a sweep so that it can be told from others, wherever its files are.

    Models of one name differ by their arrays; so do faces cut from other photos or placed in other boxes.
    """
    plain = {k: v for k, v in asdict(spec).items() if k not in ("datasets", "model", "count")}
    plain |= {"base": spec.base_config(model).described()}
    plain |= {"model": model.provenance.name, "model_hash": fingerprint(model)}
    return plain | {"faces_drawn": len(photos.boxes), "faces": hash_of(photos)}
