"""Programs that outlive their process: traced once, the same numbers, not trusted where they are damaged."""

from __future__ import annotations

import copy
import math
import os
import pickle
import subprocess
import sys
from functools import cache as cache_of
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclnf import cache, fit
from jaxclnf.cache import Kept, cache_folder, keep
from jaxclnf.cache.program_key import sources

traces: list[tuple] = []


def solved(tree: dict, scale) -> dict:
    """Something with a structure, LAPACK and a Python branch."""
    traces.append(tree["a"].shape)
    assert tree["a"].ndim == 2
    return {"x": jnp.linalg.solve(tree["a"], scale * tree["b"]), "none": None}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache_folder.VARIABLE, str(tmp_path / "cache"))
    traces.clear()
    return tmp_path / "cache"


def problem(n: int = 2) -> dict:
    return {"a": np.eye(n, dtype=np.float32) + np.float32(0.5), "b": np.arange(n, dtype=np.float32)}


def fresh() -> Kept:
    """The function as a process has it that has just begun."""
    jax.clear_caches()
    return keep(solved)


def test_a_second_process_gets_the_same_numbers_without_tracing(place: Path) -> None:
    results = [fresh()(problem(), np.float32(2)), (again := fresh())(problem(), np.float32(2))]
    results.append(again(problem(), np.float32(2)))
    assert traces == [(2, 2)]
    assert len(list(place.iterdir())) == 1
    for result in results:
        assert result["none"] is None
        np.testing.assert_array_equal(result["x"], jax.jit(solved)(problem(), np.float32(2))["x"])


def test_other_shapes_types_and_settings_are_other_programs(place: Path) -> None:
    fresh()(problem(), np.float32(2))
    fresh()(problem(3), np.float32(2))
    fresh()(problem(), np.array([2, 2], np.float32))
    with jax.default_matmul_precision("highest"):
        fresh()(problem(), np.float32(2))
    assert len(traces) == 4 and len(list(place.iterdir())) == 4


def test_programs_of_other_code_are_not_used(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh()(problem(), np.float32(2))
    monkeypatch.setattr("jaxclnf.cache.program_key.sources", lambda: "other")
    fresh()(problem(), np.float32(2))
    assert len(traces) == 2


@pytest.mark.parametrize("imported, n_traces", [(math.inf, 1), (0.0, 2)])
def test_code_that_changed_under_a_process_leaves_nothing_to_others(
    place: Path, monkeypatch: pytest.MonkeyPatch, imported: float, n_traces: int
) -> None:
    """What it computes may be of the code before, and must not be found by that after."""
    monkeypatch.setattr("jaxclnf.cache.program_key._IMPORTED", imported)
    for _ in range(2):  # processes
        monkeypatch.setattr("jaxclnf.cache.program_key.sources", cache_of(sources.__wrapped__))
        fresh()(problem(), np.float32(2))
    assert len(traces) == n_traces


def test_programs_that_call_c_and_those_without_it_are_others(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for available in (True, False, True):
        monkeypatch.setattr("jaxclnf.native.available", lambda available=available: available)
        fresh()(problem(), np.float32(2))
    assert len(traces) == 2


@pytest.mark.parametrize("damage", ["a byte", "no pickle", "another tree", "no program"])
def test_an_entry_that_is_damaged_or_foreign_is_made_anew(place: Path, damage: str) -> None:
    expected = fresh()(problem(), np.float32(2))
    (path,) = place.iterdir()
    tree, program = (bytes(part) for part in cache.read(path.name) or ())
    match damage:
        case "a byte":
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
        case "no pickle":
            cache.write(path.name, [b"none", program])
        case "another tree":
            cache.write(path.name, [pickle.dumps({"x": 1}), program])
        case _:
            cache.write(path.name, [tree, pickle.dumps("no program")])
    found = fresh()(problem(), np.float32(2))
    np.testing.assert_array_equal(found["x"], expected["x"])
    assert len(traces) == 2


def test_within_jax_and_with_other_arguments_it_is_jit(place: Path) -> None:
    kept = keep(solved)
    many = jax.tree.map(lambda a: np.stack([a, a]), problem())
    mapped = jax.vmap(kept, (0, None))(many, np.float32(2))["x"]
    np.testing.assert_allclose(mapped[1], np.linalg.solve(problem()["a"], 2 * problem()["b"]), rtol=1e-6)
    slope = jax.grad(lambda s: kept(problem(), s)["x"].sum())(jnp.float32(2))
    np.testing.assert_allclose(slope, np.linalg.solve(problem()["a"], problem()["b"]).sum(), rtol=1e-5)
    np.testing.assert_allclose(kept(problem(), 2.0)["x"], mapped[0], rtol=1e-6)  # a Python number
    assert kept.lower(problem(), np.float32(2)).compile() is not None
    assert jax.eval_shape(kept, problem(), np.float32(2))["x"].shape == (2,)
    assert not place.exists()


def test_mistakes_are_those_of_the_function(place: Path) -> None:
    with pytest.raises(AssertionError) as raised:
        keep(solved)({"a": np.ones(2, np.float32), "b": np.ones(2, np.float32)}, np.float32(1))
    assert raised.value.__context__ is None  # which a traceback would show
    with pytest.raises(TypeError):
        keep(solved)(problem())  # type: ignore[call-arg]


def test_it_has_the_functions_name(place: Path) -> None:
    kept = keep(solved)
    assert isinstance(kept, Kept) and kept.__name__ == "solved" and kept.__doc__ == solved.__doc__


def test_it_is_copied_and_sent_to_other_processes_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(fit)) is fit and copy.deepcopy({"fit": fit})["fit"] is fit


PROGRAM = """
import sys, numpy as np
sys.path.insert(0, {tests!r})
import test_programs as t
x = t.keep(t.solved)(t.problem(), np.float32(2))["x"]
print(len(t.traces), np.asarray(x).tobytes().hex())
"""


def test_a_real_second_process_finds_lapack(tmp_path: Path) -> None:
    """JAX looks its functions up where it compiles calls of them, which a second process does not."""
    code = PROGRAM.format(tests=str(Path(__file__).parent))
    environment = os.environ | {cache_folder.VARIABLE: str(tmp_path / "cache")}

    def run() -> list[str]:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    (n_first, first), (n_second, second) = run(), run()
    assert (n_first, n_second) == ("1", "0") and first == second
