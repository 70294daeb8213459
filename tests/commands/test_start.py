from __future__ import annotations

import subprocess
import sys

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
