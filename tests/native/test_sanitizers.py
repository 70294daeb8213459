"""The C code under address and undefined-behaviour sanitizers, and its picture of XLA's interface.

A few calls of every kind; `make sanitize`, which is part of ``.ci/run``, does as many as tell more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.append(str(ROOT))
import hatch_build  # noqa: E402

CALLS = int(os.environ.get("JAXCLNF_FUZZ_CALLS", 1000))
INCLUDES = [f"-I{ROOT / hatch_build.SOURCES}", f"-I{jax.ffi.include_dir()}"]
OPTIMISED = "-O1" if CALLS > 4000 else "-O0"  # which compiles in a fourth of the time
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
WARNINGS = ["-Wall", "-Wextra"]
FLAGS = ["-std=gnu11", "-g", OPTIMISED, *WARNINGS, "-ffp-contract=fast", "-fno-math-errno", *SANITIZERS]
LEFT_OUT = "JAXCLNF_NATIVE=0 leaves the native library out"


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sanitized")
    try:
        _compile_empty(folder)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a C compiler with sanitizers")
    program = folder / "fuzz"
    objects = hatch_build.compile_objects(ROOT, folder, FLAGS)
    hatch_build.compile_with(*FLAGS, *INCLUDES, HERE / "fuzz.c", *objects, "-o", program, "-lm")
    return program


def _compile_empty(folder: Path) -> None:
    source, program = folder / "empty.c", folder / "empty"
    source.write_text("int main(void) { return 0; }")
    hatch_build.compile_with(*SANITIZERS, source, "-o", program)
    subprocess.run([str(program)], check=True, capture_output=True)


@pytest.mark.skipif(os.environ.get("JAXCLNF_NATIVE") == "0", reason=LEFT_OUT)
@pytest.mark.parametrize("seed", range(4))
def test_no_call_leaves_its_arrays_and_every_wrong_one_is_refused(fuzz: Path, seed: int) -> None:
    run = subprocess.run([str(fuzz), str(seed), str(CALLS // 4)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{CALLS // 4} calls\n"


@pytest.mark.releases
def test_structures_lie_as_in_jaxlibs_own_header(tmp_path: Path) -> None:
    try:
        hatch_build.compile_with("--version")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a C compiler")
    hatch_build.compile_with("-std=gnu11", *INCLUDES, "-c", HERE / "layout.c", "-o", tmp_path / "layout.o")
