"""The C code under address, undefined-behaviour and thread sanitizers, and its picture of XLA's interface.

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
MEMORY = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
WARNINGS = ["-Wall", "-Wextra"]
FLAGS = ["-std=gnu11", "-g", OPTIMISED, *WARNINGS, "-ffp-contract=fast", "-fno-math-errno"]
LEFT_OUT = "JAXCLNF_NATIVE=0 leaves the native library out"


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("memory"), MEMORY)


def compiled(folder: Path, sanitizers: list[str]) -> Path:
    """The program that makes calls, compiled with sanitizers; the test is left out where there are none."""
    try:
        _compile_empty(folder, sanitizers)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a C compiler with sanitizers")
    program, flags = folder / "fuzz", [*FLAGS, *sanitizers]
    objects = hatch_build.compile_objects(ROOT, folder, flags)
    hatch_build.compile_with(*flags, *INCLUDES, HERE / "fuzz.c", *objects, "-o", program, "-lm", "-pthread")
    return program


def _compile_empty(folder: Path, sanitizers: list[str]) -> None:
    source, program = folder / "empty.c", folder / "empty"
    source.write_text("int main(void) { return 0; }")
    hatch_build.compile_with(*sanitizers, source, "-o", program)
    subprocess.run([str(program)], check=True, capture_output=True)


def makes_calls(program: Path, seed: int, n_calls: int) -> None:
    run = subprocess.run([str(program), str(seed), str(n_calls)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{n_calls} calls\n"


@pytest.mark.skipif(os.environ.get("JAXCLNF_NATIVE") == "0", reason=LEFT_OUT)
@pytest.mark.parametrize("seed", range(4))
def test_no_call_leaves_its_arrays_and_every_wrong_one_is_refused(fuzz: Path, seed: int) -> None:
    makes_calls(fuzz, seed, CALLS // 4)


@pytest.mark.skipif(CALLS <= 4000, reason="`make sanitize` watches threads")
def test_threads_that_share_a_call_wait_for_each_other(tmp_path: Path) -> None:
    makes_calls(compiled(tmp_path, ["-fsanitize=thread"]), 0, CALLS // 16)


@pytest.mark.releases
def test_structures_lie_as_in_jaxlibs_own_header(tmp_path: Path) -> None:
    try:
        hatch_build.compile_with("--version")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a C compiler")
    hatch_build.compile_with("-std=gnu11", *INCLUDES, "-c", HERE / "layout.c", "-o", tmp_path / "layout.o")
