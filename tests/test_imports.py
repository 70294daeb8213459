"""Imports point one way, and importing the package is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import jaxclnf

PACKAGE = Path(jaxclnf.__file__).parent

# A room may import from itself and from those in earlier rows.
ROOMS = (
    {"pytrees", "cores", "forks", "by_identity", "regular_files", "whole_files", "wording", "xla_flags"},
    {"native"},
    {"cache", "named_arrays"},
    {"config"},
    {"types"},
    {"ops"},
    {"fitting"},
    {"models"},
    {"batch"},
    {"media"},
    {"detect", "images"},  # earlier names
    {"tracking"},
    {"output"},
    {"data"},
    {"training"},
    {"sweeps", "bench"},
    {"cluster"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
FRONT_DOOR = "__init__"
SLOW = ("matplotlib", "dlib", "cv2", "polars", "typer", "rich", "optax", "PIL", "scipy")


def _name(path: Path) -> str:
    """The first part below ``jaxclnf`` of a source file's module name: ops/shape.py -> ops."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imported(path: Path) -> set[str]:
    """Top modules of ours that a file imports, inside functions and under TYPE_CHECKING too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("jaxclnf.")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "jaxclnf":
            assert node.module is not None
            found |= {node.module.split(".")[1]} if "." in node.module else {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            pytest.fail(f"{path.name}: relative import; write the full name")
    return found


def _module(path: Path) -> str:
    """The module's name that a source file has: ops/shape.py -> jaxclnf.ops.shape."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path, modules: set[str]) -> set[str]:
    """The modules of ours that a file imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in modules else node.module for name in names}
    return found & modules


def _below(room: str) -> set[str]:
    """The rooms that a room may import from."""
    row = next(i for i, rooms in enumerate(ROOMS) if room in rooms)
    return set().union(*ROOMS[:row])


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = _name(path)
    if room != FRONT_DOOR:
        assert _imported(path) <= _below(room) | {room}


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Neither rooms nor the files inside a room; `TopologicalSorter` names the circle that it finds."""
    paths = {
        _module(path): path
        for path in PACKAGE.rglob("*.py")
        if path.parent != PACKAGE or path.stem != "__init__"
    }
    graph = {name: _imports(path, set(paths)) for name, path in paths.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(paths)


def test_tests_have_the_rooms_of_the_package() -> None:
    here = Path(__file__).parent
    rooms = {path.parent.name for path in here.glob("*/test_*.py")}
    assert rooms <= set().union(*ROOMS)


@pytest.mark.parametrize("path", sorted((PACKAGE / "ops").glob("*.py")), ids=lambda p: p.name)
def test_ops_import_only_jax(path: Path) -> None:
    """Ops are arrays in, arrays out; numpy stands for constants, and for what is computed once a model."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    roots = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    roots |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    assert roots <= {
        "__future__",
        "collections",
        "math",
        "functools",
        "typing",
        "numpy",
        "threadpoolctl",
        "jax",
        "jaxtyping",
        "jaxclnf",
    }


def test_no_two_things_have_one_name() -> None:
    """Functions and classes that other modules may use; a program's `main` is its own."""
    homes: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: found for name, found in homes.items() if len(found) > 1 and name != "main"} == {}


def test_no_two_modules_have_one_name() -> None:
    """Sub-commands apart, which are called after what they run, and the earlier names."""
    here = [path for path in PACKAGE.rglob("*.py") if path.stem != FRONT_DOOR]
    names = Counter(path.stem for path in here if path.parent not in (PACKAGE, PACKAGE / "commands"))
    assert {name for name, n in names.items() if n > 1} == set()


def test_importing_the_package_is_cheap() -> None:
    """The parts of the host side load when they are used; the slack over 2 s is for a busy machine."""
    code = (
        "import time; start = time.process_time(); import jaxclnf, sys;"
        f"print(time.process_time() - start, [m for m in {SLOW} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    seconds, modules = out.split(" ", 1)
    assert modules.strip() == "[]"
    assert float(seconds) < 2


def test_every_public_name_is_there() -> None:
    assert all(getattr(jaxclnf, name).__name__ == name for name in jaxclnf.__all__)
    assert set(jaxclnf.__all__) <= set(dir(jaxclnf))
    assert callable(jaxclnf.fit) and jaxclnf.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = jaxclnf.fitt


def test_importing_changes_nothing_of_the_process() -> None:
    """No warning filter, environment variable, log level or setting of JAX: those are the program's."""
    code = """
import os, pkgutil, warnings
import cv2, jax, matplotlib, optax, PIL.Image, polars, typer
jax.devices()
def state():
    level = cv2.utils.logging.getLogLevel()
    pillow = PIL.Image.MAX_IMAGE_PIXELS
    return dict(os.environ), list(warnings.filters), level, dict(jax.config.values), pillow
before = state()
import jaxclnf
for module in pkgutil.walk_packages(jaxclnf.__path__, "jaxclnf."):
    if not module.name.endswith(("__main__", "_native")):
        __import__(module.name)
names = "environment", "filters", "log", "jax", "pillow"
print([name for name, a, b in zip(names, before, state()) if a != b])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
