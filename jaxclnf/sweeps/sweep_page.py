"""The report of a sweep: a table of its settings, pictures, and a page that shows them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from jaxclnf.data.charts import draw_cumulative_errors
from jaxclnf.data.evaluate import LARGE_ERROR
from jaxclnf.output.chart_files import save_chart
from jaxclnf.sweeps.results import Results, TriedSetting
from jaxclnf.sweeps.spec import Setting, Spec
from jaxclnf.whole_files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

SHOWN = 15  # settings in the page's table
PICTURES = {
    "pareto.png": "error against time",
    "heatmap.png": "mean error by regularisation and sigma",
    "ced.png": "cumulative errors",
}


def write_report(
    folder: Path, spec: Spec, model: str, outcomes: Sequence[TriedSetting], results: Results
) -> Path:
    """Write settings.csv, the pictures and README.md of a finished sweep of a model; returns the page."""
    import polars

    rows = [_row(outcome, results) for outcome in outcomes]
    write_whole(folder / "settings.csv", polars.DataFrame(rows).write_csv().encode())
    best = {f"{i + 1}": np.array(o.errors) for i, o in enumerate(outcomes[:3])}
    worst = {f"{len(outcomes)} (last)": np.array(outcomes[-1].errors)} if len(outcomes) > 3 else {}
    draw_cumulative_errors(folder / "ced.png", best | worst)
    points = timed(rows)
    if has_times := len({time for time, _ in points}) > 1:
        draw_pareto(folder / "pareto.png", points)
    axes = heat_axes([o.setting for o in outcomes])
    if axes:
        draw_heat_map(folder / "heatmap.png", outcomes, *axes)
    page = folder / "README.md"
    pictures = ["pareto.png"] * has_times + ["heatmap.png"] * bool(axes) + ["ced.png"]
    write_whole(page, _page(spec, model, outcomes, rows, pictures).encode())
    return page


def _row(outcome: TriedSetting, results: Results) -> dict[str, str | float]:
    errors = np.array(outcome.errors)
    settings = {name: _text(value) for name, value in outcome.setting.items()}
    return settings | {
        "mean": round(float(errors.mean()), 3),
        "median": round(float(np.median(errors)), 3),
        "p90": round(float(np.percentile(errors, 90)), 3),
        "above_10": round(100 * float((errors > LARGE_ERROR).mean()), 2),
        "log_likelihood": round(outcome.log_likelihood, 4),
        "steps": round(outcome.iterations, 2),
        "ms_a_face": results.time_of(outcome.setting) or float("nan"),
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def heat_axes(settings: Sequence[Setting]) -> tuple[str, str] | None:
    """Find the first pair of regularisation and sigma (of a stage, or of all) that both vary, as numbers."""
    values = {name: [each.get(name) for each in settings] for s in settings for name in s}
    names = {name for name, each in values.items() if all(map(_is_finite, each)) and len(set(each)) > 1}
    for name in sorted(names):
        field, _, stage = name.partition(".")
        partner = "sigma" + (f".{stage}" if stage else "")
        if field == "reg_factor" and partner in names:
            return name, partner
    return None


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def timed(rows: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """List time and mean error of the settings whose time is known; on a cluster a timing may be given up."""
    points = ((row["ms_a_face"], row["mean"]) for row in rows)
    return sorted(point for point in points if all(map(_is_finite, point)))


def draw_heat_map(path: Path, outcomes: Sequence[TriedSetting], reg: str, sigma: str) -> None:
    """Draw the mean error by regularisation and sigma, with the best choice of all other settings."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    points = [(float(o.setting[reg]), float(o.setting[sigma]), float(np.mean(o.errors))) for o in outcomes]
    regs, sigmas = (sorted({p[i] for p in points}) for i in (0, 1))
    if len(regs) * len(sigmas) <= 2 * len(points):
        cells = np.full((len(regs), len(sigmas)), np.nan)
        for r, s, error in points:
            cells[regs.index(r), sigmas.index(s)] = np.fmin(cells[regs.index(r), sigmas.index(s)], error)
        image = _draw_cells(axes, cells)
        axes.set_xticks(range(len(sigmas)), [f"{s:g}" for s in sigmas])
        axes.set_yticks(range(len(regs)), [f"{r:g}" for r in regs])
    else:
        x, y, colour = zip(*((s, r, e) for r, s, e in points), strict=True)
        image = axes.scatter(x, y, c=colour, cmap="viridis_r", vmax=float(np.percentile(colour, 75)))
    figure.colorbar(image, label="mean error, % of the eye distance")
    axes.set(xlabel=sigma, ylabel=reg, title="Mean error")
    save_chart(figure, path)


def _draw_cells(axes: Axes, cells: Float[np.ndarray, "n_regs n_sigmas"]) -> AxesImage:
    """Draw errors as colours with their numbers, dark on the light cells of small errors."""
    image = axes.imshow(cells, origin="lower", aspect="auto", cmap="viridis_r")
    middle = (np.nanmin(cells) + np.nanmax(cells)) / 2
    for i, j in np.argwhere(np.isfinite(cells)):
        ink = "black" if cells[i, j] < middle else "white"
        axes.text(j, i, f"{cells[i, j]:.3f}", ha="center", va="center", fontsize=8, color=ink)
    return image


def draw_pareto(path: Path, points: Sequence[tuple[float, float]]) -> None:
    """Draw times and errors of settings, in order; a line joins those that no other beats in both."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.scatter(*zip(*points, strict=True), s=14, alpha=0.5, label="settings")
    front: list[tuple[float, float]] = []
    for time, error in points:
        if not front or error < front[-1][1]:
            front.append((time, error))
    axes.step(
        *zip(*front, strict=True), where="post", color="tab:red", marker="o", label="not beaten in both"
    )
    best = front[-1][1]
    axes.set(
        xlabel="time a face, ms",
        ylabel="mean error, % of the eye distance",
        title="Error against time",
        ylim=(best - 0.05 * best, min(max(e for _, e in points) * 1.02, 2 * best)),
    )
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    save_chart(figure, path)


def _page(
    spec: Spec,
    model: str,
    outcomes: Sequence[TriedSetting],
    rows: Sequence[dict],
    pictures: Sequence[str],
) -> str:
    fixed = {name for name in outcomes[0].setting if len({str(row.get(name)) for row in rows}) == 1}
    columns = [name for name in rows[0] if name not in fixed]
    table = ["| | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
    for i, row in enumerate(rows[:SHOWN]):
        table.append(f"| {i + 1} | " + " | ".join(str(row[c]) for c in columns) + " |")
    same = [f"`{name} = {rows[0][name]}`" for name in outcomes[0].setting if name in fixed]
    n_faces = outcomes[0].last
    sets = ", ".join(d.name for d in spec.datasets)
    held = " that training held back" if spec.held_back else ""
    base = "model" if spec.base == "model" else f"preset `{spec.base}`"
    untimed = len(rows) - len(timed(rows))
    lines = [
        "# Sweep of settings",
        f"{len(spec.settings)} settings ({spec.search} search) on {n_faces} faces of {sets}{held}, drawn by "
        f"seed {spec.seed}, fitted by the model {model}; what is not varied is that of the {base}. "
        f"{len(outcomes)} settings saw all faces; "
        "errors are mean landmark distances in percent of the distance of the outer eye corners.",
        *([f"The same in all: {', '.join(same)}."] if same else []),
        "\n".join(table),
        f"The best {min(SHOWN, len(rows))}; all are in settings.csv. Times are those of one setting alone, "
        "in batches, on the machine of the sweep."
        + (f" {untimed} have no time: it was given up." if untimed else ""),
        *(f"![{PICTURES[name]}]({name})" for name in pictures),
    ]
    return "\n\n".join(lines) + "\n"
