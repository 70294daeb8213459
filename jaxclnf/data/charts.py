"""Charts of results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxclnf.data.evaluate import LARGE_ERROR, cumulative, figures
from jaxclnf.output.chart_files import save_chart


def draw_cumulative_errors(path: Path, errors: Mapping[str, Float[np.ndarray, " n"]]) -> None:
    """Draw the share of faces below each error (percent of the eye distance), with a curve for each name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    limits = np.linspace(0, LARGE_ERROR, 401)
    for name, values in errors.items():
        label = f"{name} (median {figures(values).median:.2f})"
        axes.plot(limits, 100 * cumulative(values, limits), label=label, linewidth=1.6)
    axes.set(
        xlabel="error, % of the distance of the outer eye corners",
        ylabel="faces, %",
        xlim=(0, LARGE_ERROR),
        ylim=(0, 100),
        title="Cumulative error",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize="small", framealpha=1, edgecolor="none")
    save_chart(figure, path)
