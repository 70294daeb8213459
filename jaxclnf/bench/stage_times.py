"""The time of photos and of films by stages: every stage alone, and whole runs of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from jaxclnf.bench.scenes import write_film, write_photos
from jaxclnf.bench.stages_alone import GROUP, Stages, frames_alone, photos_alone
from jaxclnf.bench.whole_runs import WholeRun, run_tool
from jaxclnf.output.chart_files import save_chart
from jaxclnf.types import Model

if TYPE_CHECKING:
    from rich.table import Table

N_PHOTOS, N_FRAMES = 1000, 750
N_ALONE = 6 * GROUP  # photos for timing each stage alone
PLAIN, FULL, DRAWN = "no pictures, no report", "pictures and report", "film drawn, no report"
_COLOURS = {
    "read": "#4c78a8",
    "decode": "#4c78a8",
    "detect": "#f58518",
    "fit": "#54a24b",
    "measure": "#88d27a",
    "write rows": "#b279a2",
    "draw": "#9d9da1",
    "write picture": "#d8b5a5",
}


@dataclass
class Pipelines:
    """The times of the stages and of whole runs."""

    stages: list[Stages]
    runs: list[WholeRun]

    def described(self) -> dict[str, Any]:
        """Describe the times in JSON's types."""
        alone = {f"{each.unit}s": each.each() for each in self.stages}
        runs = [vars(run) | {"per_second": run.rate, "growth_mb": run.growth_mb()} for run in self.runs]
        return {"cpu_ms_of_stages": alone, "runs": runs}


def measure_pipelines(model: Model, named: str | None, n_photos: int, n_frames: int) -> Pipelines:
    """Time stages and whole runs with a model, which the command line knows as ``named``."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "photos").mkdir()
        photos = write_photos(folder / "photos", n_photos)
        films = {k: write_film(folder / f"faces_{k}.mp4", n_frames, k) for k in (1, 3)}
        chosen = ["--model", named] if named else []
        fit = ["fit", str(folder / "photos"), *chosen]
        plain = ["--no-pictures", "--no-report"]
        run_tool("", "", 1, [*fit, *plain, "--out", f"{folder}/first"])  # fills the cache of programs
        runs = [
            run_tool(PLAIN, "photo", n_photos, [*fit, *plain, "--out", f"{folder}/a"]),
            run_tool(FULL, "photo", n_photos, [*fit, "--out", f"{folder}/b"]),
        ]
        for n_faces, film in films.items():
            runs += _tracked(film, n_frames, chosen, plain, n_faces)
        alone = [photos_alone(model, photos[:N_ALONE], folder), frames_alone(model, films[3], folder)]
    return Pipelines(alone, runs)


def _tracked(film: Path, n_frames: int, chosen: list[str], plain: list[str], n_faces: int) -> list[WholeRun]:
    """Whole runs over a film; a run of one frame, the second of two, says how long they take to start."""
    track, faces = ["track", str(film), *chosen], "1 face" if n_faces == 1 else f"{n_faces} faces"
    first = ["--frames", "1", *plain, "--out", f"{film}.first"]
    start = min(run_tool("", "frame", 1, [*track, *first]).wall_s for _ in range(2))
    run_tool("", "frame", 1, [*track, "--frames", "30", *plain, "--out", f"{film}.first"])
    kinds = {PLAIN: plain, DRAWN: ["--no-report"]}
    return [
        run_tool(f"{faces}, {name}", "frame", n_frames, [*track, *how, "--out", f"{film}.{i}"], start)
        for i, (name, how) in enumerate(kinds.items())
    ]


def stage_table(found: Pipelines, table: Table) -> Table:
    """Fill a table with each stage's CPU time and its share of a run without pictures."""
    for stages in found.stages:
        each = stages.each()
        plain = sum(ms for stage, ms in each.items() if stage not in ("draw", "write picture"))
        table.add_section()
        for stage, ms in each.items():
            table.add_row(f"{stages.unit}: {stage}", f"{ms:.1f}", f"{ms / plain:.0%}")
    return table


def run_table(found: Pipelines, table: Table) -> Table:
    """Fill a table with the whole runs' rates, CPU time and memory."""
    for run in found.runs:
        cpu, most = f"{1e3 * run.cpu_s / run.n:.1f}", f"{max(run.memory_mb, default=0):,.0f}"
        name = f"{run.n:,} {run.unit}s, {run.name}"
        table.add_row(name, f"{run.rate:.1f}", cpu, most, f"{run.growth_mb():+.0f}")
    return table


def draw_pipeline(path: Path, found: Pipelines) -> None:
    """Draw the time of each stage, and the memory over the course of each run."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(10, 6.4), layout="constrained")
    time, memory = picture.subplots(2, 1, height_ratios=(1, 1.1))
    _draw_stages(time, found.stages)
    for run in found.runs:
        seconds = [i / 10 for i in range(len(run.memory_mb))]
        label = f"{run.n:,} {run.unit}s, {run.name}: {run.rate:.0f} a second"
        memory.plot(seconds, run.memory_mb, label=label)
    memory.set(xlabel="seconds from the start", ylabel="memory, MB", ylim=(0, None), title="Whole runs")
    memory.grid(alpha=0.3)
    memory.legend(fontsize="small", loc="lower right")
    save_chart(picture, path, dpi=120)


def _draw_stages(axes: Any, found: list[Stages]) -> None:
    """Draw a bar for photos and one for frames, with their stages in the order of a run."""
    named: set[str] = set()
    for y, stages in enumerate(found):
        at = 0.0
        for stage, ms in stages.each().items():
            label = stage if stage not in named else None
            axes.barh(y, ms, left=at, color=_COLOURS[stage], edgecolor="white", label=label)
            if ms > 0.6:
                axes.text(at + ms / 2, y, f"{ms:.1f}", ha="center", va="center", fontsize=8)
            named.add(stage)
            at += ms
    axes.set_yticks(range(len(found)), [f"a {stages.unit}" for stages in found])
    axes.invert_yaxis()
    axes.set(xlabel="CPU time, ms", title="Where the time goes: every stage alone, on one core")
    axes.legend(fontsize="small", ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.28), frameon=False)
