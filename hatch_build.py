"""Compiles the C code of `jaxclnf.native` into the wheel (``pip install`` runs this).

Where that fails, the wheel has none of it and XLA computes all. A C compiler of the machine is taken if there
is one ($CC, else cc), else that of the package ziglang, which pip then fetches. $CPPFLAGS, $CFLAGS, $LDFLAGS
and $ARCHFLAGS come after our own flags. $_PYTHON_HOST_PLATFORM names another platform to compile for, as
cibuildwheel and crossenv set it: "linux-aarch64", with a compiler for it.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = Path("jaxclnf", "native")
LIBRARY = SOURCES / "_native.so"
FLAGS = shlex.split(
    "-std=gnu11 -O3 -Wall -Wextra -fPIC -fvisibility=hidden -ffp-contract=fast -fno-math-errno"
)
AVX2 = ["-mavx2", "-mfma"]
WIDE = shlex.split("-mavx512f -mavx512dq -mavx512bw -mavx512vl -mprefer-vector-width=512")
ON_X86 = {"baseline": [], "avx2": AVX2, "avx512": AVX2 + WIDE}
X86 = ("x86_64", "amd64")


class NativeBuild(BuildHookInterface):
    """The library, and the platform in the wheel's name."""

    def dependencies(self) -> list[str]:
        return [] if _own_compiler() else ["ziglang"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        try:
            compile_library(Path(self.root))
        except (OSError, subprocess.CalledProcessError) as error:
            self.app.display_warning(f"nothing native, XLA computes all: {_reason(error)}")
            return
        build_data["artifacts"].append(LIBRARY.as_posix())
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + target().replace("-", "_").replace(".", "_")


def target() -> str:
    """Name the platform to compile for as wheels do: "linux-x86_64", "macosx-11.0-arm64", "win-amd64"."""
    named = sysconfig.get_platform()  # heeds $_PYTHON_HOST_PLATFORM
    return named.replace("universal2", platform.machine())  # one compilation is for one processor


def compile_library(root: Path) -> None:
    """The library in its place under ``root``."""
    with tempfile.TemporaryDirectory() as folder:
        objects = compile_objects(root, Path(folder), FLAGS)
        library = Path(folder, LIBRARY.name)
        linked = ["-lm"] if target().startswith("win") else ["-lm", "-pthread"]
        compile_with("-shared", *objects, "-o", library, *linked, *_given("LDFLAGS", "ARCHFLAGS"))
        # Under its name at once: a process that has the old one open keeps it.
        fresh = (root / LIBRARY).with_suffix(f".{os.getpid()}")
        shutil.copy(library, fresh)
        fresh.replace(root / LIBRARY)


def compile_objects(root: Path, folder: Path, flags: Sequence[str]) -> list[Path]:
    """Object files in ``folder``: what XLA calls, and the kernels for every set of instructions."""
    sources = root / SOURCES
    flags = [*flags, *_given("CPPFLAGS", "CFLAGS", "ARCHFLAGS")]
    kinds = ON_X86 if target().endswith(X86) else {"baseline": []}
    handler, *kernels = [folder / f"{name}.o" for name in ("handler", *kinds)]
    compile_with(*flags, "-c", sources / "handler.c", "-o", handler)
    for (kind, instructions), made in zip(kinds.items(), kernels, strict=True):
        named = f"-DKERNELS=kernels_{kind}"
        compile_with(*flags, *instructions, named, "-c", sources / "kernels.c", "-o", made)
    return [handler, *kernels]


def compile_with(*arguments: Any) -> None:
    """Run the C compiler; raises OSError or CalledProcessError."""
    compiler = _own_compiler() or [sys.executable, "-m", "ziglang", "cc"]
    command = [str(part) for part in (*compiler, *arguments)]
    subprocess.run(command, check=True, capture_output=True, text=True)


def _own_compiler() -> list[str] | None:
    named = _given("CC") or ["cc"]
    return named if shutil.which(named[0]) else None


def _given(*variables: str) -> list[str]:
    """The words of environment variables, as a shell would split them."""
    return [word for name in variables for word in shlex.split(os.environ.get(name, ""))]


def _reason(error: Exception) -> str:
    return getattr(error, "stderr", None) or str(error)
