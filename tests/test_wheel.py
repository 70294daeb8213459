"""The wheel: what compiles it, and that it fits arrays beside jax, jaxlib, numpy and jaxtyping alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))
import hatch_build  # noqa: E402

FIT = """
import numpy as np
import jaxclnf
image = np.random.default_rng(0).uniform(0, 255, (160, 160)).astype(np.float32)
config = jaxclnf.FitConfig().changed(windows=(7,), start_rotations=np.zeros((1, 3), np.float32))
result = jaxclnf.fit(jaxclnf.load_model(), image, np.array([30, 30, 100, 100], np.float32), config)
print(jaxclnf.__version__, result.landmarks.shape, jaxclnf.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built offline from a copy, without the compiler's long optimisation."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in ("jaxclnf", "params"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    environment = os.environ | {"CFLAGS": "-O0"}
    subprocess.run([sys.executable, *build, "--wheel-dir", str(out), str(tree)], check=True, env=environment)
    (made,) = out.glob("*.whl")
    return made


def test_arrays_are_fitted_where_nothing_but_jax_is_installed(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    _link("jax", "jaxlib", "numpy", "jaxtyping", into=site)
    shutil.unpack_archive(wheel, site, "zip")  # as `pip install --no-deps` does
    assert not {"cv2", "PIL", "polars", "typer", "av"} & {path.name for path in site.iterdir()}
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(site)!r})\n{FIT}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    version, shape = done.stdout.split(" ", 1)
    assert shape.strip() == f"(68, 2) {site / 'jaxclnf' / '__init__.py'}"
    assert f"-{version}-" in wheel.name


def _link(*names: str, into: Path) -> None:
    """Put installed packages, and those they need, into a folder, by links."""
    into.mkdir(exist_ok=True)
    for name in names:
        package = distribution(name)
        assert package.files is not None
        for top in {file.parts[0] for file in package.files} - {"..", "__pycache__"}:
            if not (into / top).exists():
                (into / top).symlink_to(package.locate_file(top))
        needs = [need for need in package.requires or () if "extra ==" not in need]
        _link(*(re.split(r"[^\w.-]", need)[0] for need in needs), into=into)


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """From environment variables to the words that the C compiler was called with, call by call."""
    compiler, log = tmp_path / "a compiler", tmp_path / "log"
    compiler.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" --end >>"{log}"\nfor last; do :; done\n: >"{tmp_path}/made"\n'
    )
    compiler.chmod(0o755)

    def run(**variables: str) -> list[list[str]]:
        for name in ("CPPFLAGS", "CFLAGS", "LDFLAGS", "ARCHFLAGS", "_PYTHON_HOST_PLATFORM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in ({"CC": f"'{compiler}' -pipe"} | variables).items():
            monkeypatch.setenv(name, value)
        log.unlink(missing_ok=True)
        (tmp_path / "jaxclnf" / "native").mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(hatch_build.shutil, "copy", lambda _, to: Path(to).touch())
        hatch_build.compile_library(tmp_path)
        return [call.split("\n") for call in log.read_text().split("\n--end\n") if call]

    return run


def test_the_users_flags_reach_every_call_of_the_compiler(compiled) -> None:
    calls = compiled(
        CFLAGS="-g -DNAME='two words'", CPPFLAGS="-Ihere", LDFLAGS="-Wl,-x", ARCHFLAGS="-arch arm64"
    )
    *objects, library = calls
    assert all(call[0] == "-pipe" and call.index("-O3") < call.index("-g") for call in objects)
    assert all({"-DNAME=two words", "-Ihere", "-arch", "arm64"} <= set(call) for call in objects)
    assert {"-shared", "-Wl,-x", "-arch", "arm64"} <= set(library) and "-g" not in library


@pytest.mark.parametrize(
    ("platform", "n_objects"),
    [("linux-x86_64", 4), ("win-amd64", 4), ("linux-aarch64", 2), ("macosx-11.0-arm64", 2)],
)
def test_instructions_are_those_of_the_platform_compiled_for(compiled, platform: str, n_objects: int) -> None:
    *objects, _ = compiled(_PYTHON_HOST_PLATFORM=platform)
    assert hatch_build.target() == platform
    assert len(objects) == n_objects
    assert any("-mavx2" in call for call in objects) == (n_objects == 4)
