"""CPU time a face of the model that ships, with its presets, against a model that shipped before.

    git show b8dfe0d^:params/model.npz > before.npz      # the last one without networks
    python experiments/04_speed/models.py before.npz

Cases take turns; figures are medians over rounds. Without ``--dataset`` faces are Grace Hopper's portrait.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from jaxclnf import load_model
from jaxclnf.bench.cases import fit_cases
from jaxclnf.bench.timed_faces import dataset_faces, sample_faces
from jaxclnf.bench.timing import Case, time_cases
from jaxclnf.models.preset_settings import preset_settings
from jaxclnf.types import Model

BATCHES = (1, 64)


def cases_of(model: Model, name: str, preset: str, dataset: Path | None) -> list[Case]:
    faces = dataset_faces([dataset], 64, model) if dataset else sample_faces(model=model)
    config = preset_settings(model, preset)
    return fit_cases(model, faces.images, faces.boxes, name, BATCHES, config=config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("before", type=Path, help="the earlier model, fitted with its own settings")
    parser.add_argument("--dataset", type=Path, help="folder of annotated faces")
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    cases = cases_of(load_model(asked.before), "before", "default", asked.dataset)
    for preset in ("default", "fast", "best"):
        cases += cases_of(load_model(), preset, preset, asked.dataset)
    figures = time_cases(cases, asked.rounds)
    usual = {figure.name: figure.cpu_ms for figure in figures if figure.group == "before"}
    for f in figures:
        share = f.cpu_ms / usual[f.name]
        print(
            f"{f.group}, {f.name}: {f.wall_ms:.2f} ms, {f.cpu_ms:.2f} ms of CPU time, {share:.2f} of before"
        )


if __name__ == "__main__":
    main()
