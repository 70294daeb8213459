from __future__ import annotations

import subprocess
import sys

from jaxclnf.commands.options import Format, Preset
from jaxclnf.config import PRESETS
from jaxclnf.output.formats import FORMATS

SECONDS = 10
"""Five times what the import may take on two idle cores, for machines that are neither."""


def test_the_import_is_quick_and_leaves_the_host_side_alone() -> None:
    """`experiments/03_first_call` prints the exact times, also of the first fit."""
    code = (
        "import sys, time; start = time.perf_counter(); import jaxclnf; print(time.perf_counter() - start)\n"
        "assert not {'matplotlib', 'dlib', 'typer', 'polars'} & set(sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(out.stdout) < SECONDS


def test_words_of_options_are_those_that_the_rooms_know() -> None:
    """The command line names presets and formats itself, so that `--help` imports neither JAX nor polars."""
    assert {f".{word.value}" for word in Format} == set(FORMATS)
    assert {word.value for word in Preset} == {*PRESETS, "fast"}
