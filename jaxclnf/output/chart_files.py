"""Charts in files that appear whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from jaxclnf.whole_files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_chart(figure: Figure, path: Path, dpi: int = 150) -> None:
    """Write a chart as PNG; raises OSError, which names the file, as of a full disk."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dpi)
    write_whole(path, content.getvalue())
