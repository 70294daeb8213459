"""The notebooks of docs/ run, and print the numbers that stand in them."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "docs" / "notebooks").glob("*.ipynb"))


def texts(notebook: nbformat.NotebookNode) -> list[str]:
    """What the cells of a notebook print and show in words, one text a cell."""
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    return ["".join(o.get("text", "") for o in cell if o.get("name") == "stdout") for cell in outputs]


def numbers(text: str) -> list[float]:
    return [float(n) for n in re.findall(r"-?\d+\.?\d*", text)]


@pytest.mark.filterwarnings("ignore")  # of Jupyter's own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_prints_what_it_shows(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    shown = texts(notebook)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": path.parent}}).execute()
    for printed, expected in zip(texts(notebook), shown, strict=True):
        assert re.sub(r"-?\d+\.?\d*", "#", printed).split() == re.sub(r"-?\d+\.?\d*", "#", expected).split()
        # Processors round differently, and a descent makes more of it.
        np.testing.assert_allclose(numbers(printed), numbers(expected), rtol=0.2, atol=0.05)
    assert any(numbers(text) for text in shown)
