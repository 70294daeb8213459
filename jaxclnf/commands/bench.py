"""``jaxclnf bench``: the speed of fits on this machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jaxclnf.commands import choices, messages, options, outputs
from jaxclnf.commands.progress_bars import progress_bar

if TYPE_CHECKING:
    from jaxclnf.bench.benchmark_results import Report
    from jaxclnf.bench.timed_faces import BenchFaces
    from jaxclnf.bench.timing import Case
    from jaxclnf.types import Model


class BenchPart(StrEnum):
    """The parts of the benchmark."""

    fits = "fits"
    stages = "stages"
    machine = "machine"
    startup = "startup"
    memory = "memory"
    pipeline = "pipeline"


CHARTS = {BenchPart.fits: "speed.png", BenchPart.pipeline: "pipeline.png"}
BATCHES = (1, 16, 64, 256, 1024)
QUICK = (1, 16, 64)


def bench(
    model: options.ModelOption = None,
    dataset: Annotated[
        list[Path] | None,
        typer.Option(help="Folders of annotated faces to fit; else one portrait in many boxes."),
    ] = None,
    part: Annotated[
        list[BenchPart] | None,
        typer.Option(help="What to measure; may be given several times. By default all parts."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Batches to 64, OpenFace's default settings (with networks: the model's own), fewer rounds.",
        ),
    ] = False,
    rounds: Annotated[
        int | None,
        typer.Option(min=1, help="Rounds; figures are medians of the calls in each. Else 7, --quick 3."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for bench.json and charts.")] = Path(
        "bench"
    ),
) -> None:
    """Time fits, their stages, start-up, memory and whole runs, beside dlib's 68-point predictor.

    All cases take turns. CPU time counts all threads of this process: it is the figure to compare on a busy
    machine, where the clock counts other programs, too. Settings for patch experts are left out for models of
    networks, as the one that ships, whose own settings are timed.
    """
    from jaxclnf.bench.benchmark_results import Report
    from jaxclnf.bench.counted_work import maps_in_c
    from jaxclnf.bench.timed_faces import dataset_faces, sample_faces

    parts = part or ([BenchPart.fits] if quick else list(BenchPart))
    charts = [chart for each, chart in CHARTS.items() if each in parts]
    inputs = [*(dataset or ()), *([Path(model)] if model else ())]
    with outputs.results_in(out, inputs, ("bench.json", *charts)) as folder:
        engine = choices.use_model(model)
        faces = dataset_faces(dataset, model=engine) if dataset else sample_faces(model=engine)
        report = Report(faces.source, engine.provenance.name)
        report.response_maps = "C" if maps_in_c(engine) else "XLA"
        _time(report, engine, faces, parts, quick, rounds or (3 if quick else 7))
        _describe_machine(report, engine, parts)
        _start_afresh(report, engine, faces, parts, model)
        _note_left_out(report, engine, parts)
        _time_pipelines(report, engine, parts, model, quick)
        _print(report)
        _write(report, folder.path, parts)


def _print(report: Report) -> None:
    from rich.console import Console

    console = Console()
    console.print(f"{report.faces}; model {report.model}; response maps computed by {report.response_maps}")
    for table in report.tables():
        console.print(table)
    for note in report.notes:
        messages.warn(note)


def _write(report: Report, folder: Path, parts: list[BenchPart]) -> None:
    from jaxclnf.bench.benchmark_results import draw_speed
    from jaxclnf.bench.stage_times import draw_pipeline
    from jaxclnf.whole_files import write_whole

    write_whole(folder / "bench.json", report.as_json().encode())
    typer.echo(f"{folder / 'bench.json'}: all figures")
    if BenchPart.fits in parts:
        speed = folder / CHARTS[BenchPart.fits]
        draw_speed(speed, report)
        typer.echo(f"{speed}: faces per second by batch size")
    if report.pipelines is not None:
        pipeline = folder / CHARTS[BenchPart.pipeline]
        draw_pipeline(pipeline, report.pipelines)
        typer.echo(f"{pipeline}: where the time of photos and films goes")


def _time(
    report: Report, model: Model, faces: BenchFaces, parts: list[BenchPart], quick: bool, rounds: int
) -> None:
    from jaxclnf.bench.cases import stage_cases
    from jaxclnf.bench.timing import time_cases

    cases: list[Case] = []
    if BenchPart.fits in parts:
        cases += _fits(report, model, faces, quick)
    if BenchPart.stages in parts:
        cases += stage_cases(model, faces.images, faces.boxes)
    if cases:
        with progress_bar("calls") as bar:
            task = bar.add_task("timing", total=(rounds + 1) * len(cases))
            report.figures = time_cases(cases, rounds, lambda: bar.advance(task))


def _fits(report: Report, model: Model, faces: BenchFaces, quick: bool) -> list[Case]:
    import jax

    from jaxclnf.bench.cases import OPENFACE, SHIPPED, fit_cases, timed_configs, tracking_case
    from jaxclnf.bench.dlib_yardstick import dlib_case
    from jaxclnf.models.network_presets import settings_for
    from jaxclnf.models.storage import load_model

    images, boxes = faces.images, faces.boxes
    accelerator = jax.local_devices()[0].platform != "cpu"
    batches = QUICK if quick else (*BATCHES, 4096) if accelerator else BATCHES
    (first, config), *others = timed_configs(model).items()
    cases = fit_cases(model, images, boxes, first, batches, config=config)
    if accelerator:
        cases += fit_cases(model, images, boxes, first, batches, from_host=False, config=config)
    shipped = load_model()
    for preset, name in SHIPPED.items():
        if not (model == shipped and config == settings_for(shipped, preset)):  # timed above
            cases += fit_cases(shipped, images, boxes, name, QUICK, config=settings_for(shipped, preset))
    if not quick:
        for name, other in others:
            cases += fit_cases(model, images, boxes, name, QUICK, config=other)
        if first == OPENFACE:
            cases.append(tracking_case(model, images, boxes))
    try:
        cases.append(dlib_case(images, boxes))
    except ValueError as error:
        report.notes.append(str(error))
    return cases


def _describe_machine(report: Report, model: Model, parts: list[BenchPart]) -> None:
    from jaxclnf.bench.cases import timed_configs
    from jaxclnf.bench.counted_work import ceilings, fit_work

    if BenchPart.machine in parts:
        report.work = {name: fit_work(model, config) for name, config in timed_configs(model).items()}
        report.ceilings = ceilings()


def _start_afresh(
    report: Report, model: Model, faces: BenchFaces, parts: list[BenchPart], named: str | None
) -> None:
    from jaxclnf.bench.startup import first_landmarks, peak_memory

    if BenchPart.startup in parts:
        report.startup = first_landmarks(model, faces, named)
    if BenchPart.memory in parts:
        report.memory = peak_memory(model, faces)


def _note_left_out(report: Report, model: Model, parts: list[BenchPart]) -> None:
    from jaxclnf.bench.cases import CONFIGS, timed_configs

    kept = timed_configs(model)
    left_out = [name for name in CONFIGS if name not in kept]
    if left_out and set(parts) - {BenchPart.stages, BenchPart.pipeline}:
        report.notes.append(
            f"left out: {'; '.join(left_out)}. These settings are for models of patch experts, and this "
            f"model's networks look at whole faces, not in windows; timed instead: {'; '.join(kept)}"
        )


def _time_pipelines(
    report: Report, model: Model, parts: list[BenchPart], named: str | None, quick: bool
) -> None:
    from jaxclnf.bench.stage_times import N_FRAMES, N_PHOTOS, measure_pipelines

    if BenchPart.pipeline in parts:
        share = 10 if quick else 1
        report.pipelines = measure_pipelines(model, named, N_PHOTOS // share, N_FRAMES // share)
