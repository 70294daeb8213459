"""The benchmark's tables, JSON and plot."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from jaxclnf.bench.counted_work import Ceilings, Work, roofline_ms
from jaxclnf.bench.stage_times import Pipelines, run_table, stage_table
from jaxclnf.bench.startup import N_MEMORY, RunProcess, Starts, comparison
from jaxclnf.bench.timing import Figure
from jaxclnf.output.chart_files import save_chart

if TYPE_CHECKING:
    from rich.table import Table


@dataclass
class Report:
    """The results of one benchmark; parts that were not asked for stay empty."""

    faces: str
    model: str
    figures: list[Figure] = field(default_factory=list)
    work: dict[str, Work] = field(default_factory=dict)
    ceilings: Ceilings | None = None
    startup: Starts = field(default_factory=dict)
    memory: RunProcess | None = None
    pipelines: Pipelines | None = None
    notes: list[str] = field(default_factory=list)
    response_maps: str = ""

    def yardstick(self) -> Figure | None:
        return next((f for f in self.figures if f.group == "dlib"), None)

    def growth(self) -> dict[str, dict[str, float]]:
        """Divide the cost of 1024 faces by 16 times the cost of 64: 1 if the cost grows with the work."""
        by_case = {(f.group, f.faces): f for f in self.figures if f.name == f"batch of {f.faces}"}
        pairs = {
            g: (by_case[g, 1024], by_case[g, 64]) for g, n in by_case if n == 1024 and (g, 64) in by_case
        }
        return {g: {"wall": a.wall_ms / b.wall_ms, "cpu": a.cpu_ms / b.cpu_ms} for g, (a, b) in pairs.items()}

    def as_json(self) -> str:
        device = jax.devices()[0]
        machine = {
            "device": device.device_kind,
            "platform": device.platform,
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "jax": jax.__version__,
        }
        told: dict[str, Any] = {"machine": machine, "model": self.model, "faces": self.faces}
        told["response_maps"] = self.response_maps
        told["milliseconds_a_face"] = [figure._asdict() for figure in self.figures]
        told["growth_64_to_1024"] = self.growth()
        told["work_a_face"] = {name: work._asdict() for name, work in self.work.items()}
        told["ceilings"] = self.ceilings._asdict() if self.ceilings else None
        told["first_landmark"] = {
            n: {k: f._asdict() for k, f in by.items()} for n, by in self.startup.items()
        }
        told["pipelines"] = self.pipelines.described() if self.pipelines else None
        told["memory_256_faces"] = self.memory._asdict() if self.memory else None
        return json.dumps(told, indent=1) + "\n"

    def tables(self) -> list[Table]:
        tables = [self._speed(), self._machine(), self._startup(), *self._pipelines()]
        return [table for table in tables if table.row_count]

    def _speed(self) -> Table:
        columns = "", "clock", "CPU time", "faces/s", "clock x dlib", "CPU time x dlib"
        table = _table("Milliseconds a face (medians)", *columns)
        dlib, group = self.yardstick(), None
        for f in self.figures:
            if f.group != group:
                table.add_section()
                table.add_row(f"[bold]{f.group}[/bold]")
                group = f.group
            ratios = (f.wall_ms / dlib.wall_ms, f.cpu_ms / dlib.cpu_ms) if dlib else ()
            figures = f"{f.wall_ms:.3f}", f"{f.cpu_ms:.3f}", f"{f.faces_per_second:,.0f}"
            table.add_row(f"  {f.name}", *figures, *(f"{ratio:.2f}" for ratio in ratios))
        for name, ratio in self.growth().items():
            table.caption = f"1024 faces cost {ratio['cpu']:.2f} x 16 x 64 faces ({name}, CPU time)"
        return table

    def _machine(self) -> Table:
        table = _table("Work of a face", "", "Mflop", "useful", "MB", "least ms here")
        for name, work in self.work.items():
            least = f"{roofline_ms(work, self.ceilings):.3f}" if self.ceilings else ""
            row = (f"{n / 1e6:.1f}" for n in (work.performed, work.useful, work.bytes))
            table.add_row(name, *row, least)
        if self.ceilings:
            table.caption = (
                f"matrix product {self.ceilings.operations / 1e9:,.0f} Gflop/s, "
                f"copy {self.ceilings.bytes / 1e9:,.1f} GB/s"
            )
        return table

    def _startup(self) -> Table:
        table = _table("Fresh processes", "", "clock, s", "CPU time, s", "peak MB")
        for name, by_cache in self.startup.items():
            for kind, fresh in by_cache.items():
                table.add_row(f"{name}, {kind}" if kind else name, *_fresh_row(fresh))
        table.caption = comparison(self.startup) or None
        if self.memory:
            name = f"a batch of {N_MEMORY}, {self.memory.said['settings']}"
            table.add_row(name, *_fresh_row(self.memory))
        return table

    def _pipelines(self) -> list[Table]:
        if self.pipelines is None:
            return []
        stages = _table("A photo and a frame, stage by stage", "", "CPU time, ms", "of a plain run")
        runs = _table("Whole runs", "", "a second", "CPU time, ms each", "peak MB", "growth, MB")
        return [stage_table(self.pipelines, stages), run_table(self.pipelines, runs)]


def draw_speed(path: Path, report: Report) -> None:
    """Draw faces per second against batch size, by the clock and by CPU time, a curve for each setting."""
    from matplotlib.figure import Figure as Picture
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, StrMethodFormatter

    picture = Picture(figsize=(9.6, 4.2), layout="constrained")
    panels = picture.subplots(1, 2, sharey=True)
    curves: dict[str, list[Figure]] = {}
    for figure in report.figures:
        if figure.name == "one face" or figure.name.startswith("batch of"):
            curves.setdefault(figure.group, []).append(figure)
    for axes, key, title in zip(panels, ("wall_ms", "cpu_ms"), ("the clock", "CPU time"), strict=True):
        for name, figures in curves.items():
            speeds = [1e3 / getattr(f, key) for f in figures]
            axes.loglog([f.faces for f in figures], speeds, "o-", label=name, markersize=4, linewidth=1.6)
        if dlib := report.yardstick():
            axes.axhline(1e3 / getattr(dlib, key), color="0.4", linestyle="--", label="dlib, 68 points")
        axes.set(xlabel="batch size", title=f"Faces in a second of {title}")
        sizes = sorted({f.faces for figures in curves.values() for f in figures})
        axes.set_xticks(sizes, [str(n) for n in sizes], minor=False)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("faces per second")
    panels[0].legend(fontsize="small")
    save_chart(picture, path)


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", caption_justify="left")
    for name in columns:
        table.add_column(name, justify="right" if name else "left")
    return table


def _fresh_row(fresh: RunProcess) -> tuple[str, str, str]:
    peak = fresh.said.get("peak_bytes")
    return f"{fresh.wall_s:.2f}", f"{fresh.cpu_s:.2f}", f"{peak / 1e6:,.0f}" if peak else ""
