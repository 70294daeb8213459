"""Strict by default: no silent rank or dtype promotion, warnings are errors, shapes are checked.

The import hook makes the annotations of functions (``Float[Array, "n_points 2"]``) assertions while the tests
run. It leaves out the modules of PyTrees, which JAX rebuilds with specs, axes and None in place of
their arrays.
Compiled programs are kept in ``.cache/jax``, so that a second run is fast. Most of a first run is compiling,
which takes a quarter less at XLA's level 1 of optimisation than at its usual one, and of that a third less
without its fusion emitters, which can be turned off before jaxlib 0.11.
"""

import ctypes
import os
from pathlib import Path

import jax
import numpy as np
import pytest
from jaxlib.version import __version_info__ as JAXLIB
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parent.parent

_flags = ["--xla_backend_optimization_level=1"]
if JAXLIB < (0, 11):  # later ones do not know the flag, and would end
    _flags.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join([*_flags, os.environ.get("XLA_FLAGS", "")]).strip()

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax"))  # for child processes
os.environ["JAXCLNF_CACHE_DIR"] = "off"  # so that what is tested is traced, wherever users keep programs
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)

_modules = {path.stem for path in (ROOT / "jaxclnf").glob("[!_.]*") if path.is_dir() or path.suffix == ".py"}
_checker = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"  # an int is a float
_checked = sorted(_modules - {"config", "pytrees", "types"})
install_import_hook([f"jaxclnf.{name}" for name in _checked], _checker)


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    """Both precisions, one after the other."""
    with jax.enable_x64(request.param == "float64"):
        yield np.dtype(request.param).type


MOST_MAPPINGS = 20_000
"""Of memory, after which compiled programs are dropped: of more than 65,530, Linux's limit, XLA dies."""

MOST_MEMORY = 3.5e9
"""Bytes of a process, after which they are dropped, too: two processes grew to 11 GB, and one was killed."""


@pytest.fixture(autouse=True, scope="module")
def _few_programs():
    """Drop compiled programs between modules when there are many; each takes some mappings of memory."""
    yield
    if not Path("/proc/self/maps").exists():
        return
    mappings = Path("/proc/self/maps").read_bytes().count(b"\n")
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    if mappings > MOST_MAPPINGS or resident > MOST_MEMORY:
        jax.clear_caches()
        _give_back_memory()


def _give_back_memory() -> None:
    """Let glibc return what is free: it kept two thirds of what the dropped programs had."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
